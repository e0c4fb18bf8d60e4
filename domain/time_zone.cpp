#include "domain/time_zone.hpp"

#include "domain/posix_time_rule.hpp"

#include <algorithm>
#include <array>
#include <limits>
#include <optional>
#include <utility>

namespace skyengine {

namespace {

using namespace std::chrono;

// Far outside every year that counts, and far from overflow.
constexpr std::int64_t beginning_of_time = std::numeric_limits<std::int64_t>::min() / 4;
constexpr std::int64_t end_of_time = std::numeric_limits<std::int64_t>::max() / 4;

// After 400 years the Gregorian calendar repeats, weekdays too.
constexpr int cycle_years = 400;
constexpr std::int64_t cycle_seconds = std::int64_t{146'097} * 86'400;

// RFC 8536 3.2 recommends -24:59:59 to 25:59:59.
constexpr std::int32_t least_offset = -89'999;
constexpr std::int32_t most_offset = 93'599;
// As far as the format's own counts of real files go, with room: the largest of 2025 has 236 transitions.
constexpr std::uint32_t most_transitions = 10'000;

error no_zone(const char* reason) {
  return {errc::invalid_request, std::string{"a time zone's file "} + reason};
}

/// One transition of a file or of a rule.
struct change {
  std::int64_t at = 0;
  std::int32_t offset = 0;
};

struct header {
  std::uint32_t utc_indicators = 0;
  std::uint32_t wall_indicators = 0;
  std::uint32_t leap_seconds = 0;
  std::uint32_t transitions = 0;
  std::uint32_t types = 0;
  std::uint32_t abbreviation_bytes = 0;

  /// The bytes of the block behind it, with times of this width.
  std::uint64_t block_size(std::uint64_t width) const {
    return transitions * (width + 1) + types * std::uint64_t{6} + abbreviation_bytes +
           leap_seconds * (width + 4) + wall_indicators + std::uint64_t{utc_indicators};
  }
};

/// Takes bytes off the front of the file, the most significant first.
class reader {
public:
  explicit reader(std::string_view bytes) : rest_(bytes) {}

  bool skip(std::uint64_t count) {
    if (count > rest_.size())
      return false;
    rest_.remove_prefix(static_cast<std::size_t>(count));
    return true;
  }

  /// @pre that many bytes are left
  template <class Integer>
  Integer take() {
    std::uint64_t value = 0;
    for (std::size_t i = 0; i < sizeof(Integer); ++i)
      value = value << 8 | static_cast<unsigned char>(rest_[i]);
    rest_.remove_prefix(sizeof(Integer));
    return static_cast<Integer>(value);
  }

  std::optional<header> take_header() {
    constexpr std::size_t size = 44;
    constexpr std::size_t unused = 15;
    if (rest_.size() < size || !rest_.starts_with("TZif") || rest_[4] < '2')
      return std::nullopt;
    rest_.remove_prefix(5 + unused);
    header read;
    for (auto* const field : {&read.utc_indicators, &read.wall_indicators, &read.leap_seconds,
                              &read.transitions, &read.types, &read.abbreviation_bytes})
      *field = take<std::uint32_t>();
    return read;
  }

  std::string_view rest() const { return rest_; }

private:
  std::string_view rest_;
};

// From here on nothing of what the file lists reaches into what its rule says.
constexpr int settling_years = 3;

constexpr std::int64_t first_second_of(year y) {
  return sys_days{y / January / 1}.time_since_epoch() / seconds{1};
}

/// The year of `at`, or the nearest one that counts.
year year_of(std::int64_t at) {
  const auto within = std::clamp(at, first_second_of(year{-1}), first_second_of(year{9999}));
  return year_month_day{floor<days>(sys_seconds{seconds{within}})}.year();
}

/// What the rule says for a cycle and some years more from `first` on, in order.
std::vector<change> write_out(const posix_time_rule& rule, const posix_time_rule::summer& dst, year first) {
  std::vector<change> all;
  for (auto y = first; y <= first + years{cycle_years + settling_years + 1}; ++y) {
    // Each moment is told by the clock that holds before it.
    const change begin{(dst.begin.in(y).time_since_epoch() - rule.offset).count(),
                       static_cast<std::int32_t>(dst.offset.count())};
    const change end{(dst.end.in(y).time_since_epoch() - dst.offset).count(),
                     static_cast<std::int32_t>(rule.offset.count())};
    const auto is_northern = begin.at <= end.at;
    all.push_back(is_northern ? begin : end);
    all.push_back(is_northern ? end : begin);
  }
  // Stable: where a year's last moment is the next one's first, as in daylight saving all year, the later
  // year decides.
  std::stable_sort(all.begin(), all.end(), [](const change& a, const change& b) { return a.at < b.at; });
  return all;
}

} // namespace

time_zone::time_zone() : time_zone("UTC", 0) {}

time_zone::time_zone(std::string name, std::int32_t first_offset)
    : name_(std::move(name)), begins_{beginning_of_time}, unreached_{beginning_of_time},
      offsets_{first_offset} {}

void time_zone::add(std::int64_t at, std::int32_t offset) {
  if (offset == offsets_.back())
    return;
  unreached_.push_back(std::max(unreached_.back(), at + offsets_.back()));
  begins_.push_back(at);
  offsets_.push_back(offset);
}

result<time_zone> time_zone::parse(std::string name, std::string_view tzif) {
  reader in{tzif};
  const auto narrow = in.take_header();
  // The first block has times of 32 bits, for programs of the last century.
  const auto wide = narrow && in.skip(narrow->block_size(4)) ? in.take_header() : std::nullopt;
  if (!wide)
    return no_zone("begins with TZif, version 2 or later, and a header");
  if (wide->leap_seconds != 0)
    return no_zone("counts leap seconds");
  if (wide->transitions > most_transitions || wide->types == 0 || wide->types > 256 ||
      in.rest().size() < wide->block_size(8))
    return no_zone("is shorter than its header says");

  std::vector<change> listed(wide->transitions);
  for (auto& one : listed)
    one.at = in.take<std::int64_t>();
  std::vector<std::uint8_t> types(wide->transitions);
  for (auto& one : types)
    one = in.take<std::uint8_t>();
  std::vector<std::int32_t> offsets(wide->types);
  for (auto& one : offsets) {
    one = in.take<std::int32_t>();
    in.skip(2);
    if (one < least_offset || one > most_offset)
      return no_zone("has an offset beyond a day");
  }
  in.skip(wide->abbreviation_bytes + wide->wall_indicators + std::uint64_t{wide->utc_indicators});
  for (std::size_t i = 0; i < listed.size(); ++i) {
    if (types[i] >= offsets.size())
      return no_zone("has a transition to a type that is not there");
    if (i > 0 && listed[i].at <= listed[i - 1].at)
      return no_zone("has transitions out of order");
    listed[i].offset = offsets[types[i]];
  }

  auto footer = in.rest();
  const auto end = footer.starts_with('\n') ? footer.find('\n', 1) : std::string_view::npos;
  if (end == std::string_view::npos)
    return no_zone("ends with a line for the time after its last transition");
  footer = footer.substr(1, end - 1);

  // RFC 8536 3.2: the first type holds before the first transition.
  time_zone zone{std::move(name), offsets.front()};
  for (const auto& one : listed)
    // Some files have a transition at the Big Bang.
    zone.add(std::clamp(one.at, beginning_of_time, end_of_time), one.offset);
  if (footer.empty())
    return zone;
  const auto rule = parse_posix_time_rule(footer);
  if (!rule)
    return no_zone("has a last line that is no rule of POSIX");
  if (!rule->dst && zone.offsets_.back() != rule->offset.count())
    return no_zone("has a last line that contradicts its last transition");
  if (!rule->dst)
    return zone;

  // Not the last of our spans: it may begin before a transition that changes nothing but a name.
  const auto listed_until = listed.empty() ? beginning_of_time : listed.back().at;
  const auto first = year_of(listed_until);
  for (const auto& one : write_out(*rule, *rule->dst, first))
    if (one.at > listed_until)
      zone.add(one.at, one.offset);
  const auto settled =
    sys_days{(first + years{settling_years}) / January / 1}.time_since_epoch() / seconds{1};
  const auto repeated = std::lower_bound(zone.begins_.begin(), zone.begins_.end(), settled);
  if (repeated == zone.begins_.end())
    return zone;
  const auto again = std::lower_bound(repeated, zone.begins_.end(), *repeated + cycle_seconds);
  const auto count = static_cast<std::size_t>(again - zone.begins_.begin()) + 1;
  zone.begins_.resize(count);
  zone.unreached_.resize(count);
  zone.offsets_.resize(count);
  zone.is_cyclic_ = true;
  return zone;
}

std::size_t time_zone::index_at(std::int64_t at) const noexcept {
  return static_cast<std::size_t>(std::upper_bound(begins_.begin(), begins_.end(), at) - begins_.begin()) - 1;
}

std::int64_t time_zone::cycles_until(std::int64_t at, std::int64_t last) const noexcept {
  return is_cyclic_ && at >= last ? ((at - last) / cycle_seconds + 1) * cycle_seconds : 0;
}

time_zone::span time_zone::span_at(sys_seconds at) const noexcept {
  const auto seconds_at = at.time_since_epoch().count();
  const auto shift = cycles_until(seconds_at, begins_.back());
  const auto i = index_at(seconds_at - shift);
  const auto end = i + 1 < begins_.size() ? begins_[i + 1] + shift : end_of_time;
  return {sys_seconds{seconds{begins_[i] + shift}}, sys_seconds{seconds{end}}, seconds{offsets_[i]}};
}

local_seconds time_zone::first_unreached(sys_seconds at) const noexcept {
  const auto seconds_at = at.time_since_epoch().count();
  const auto shift = cycles_until(seconds_at, begins_.back());
  const auto i = index_at(seconds_at - shift);
  return local_seconds{seconds{std::max(unreached_[i] + shift, seconds_at + offsets_[i] + 1)}};
}

sys_seconds time_zone::first_reach(local_seconds local) const noexcept {
  const auto seconds_at = local.time_since_epoch().count();
  const auto shift = cycles_until(seconds_at, unreached_.back());
  const auto found = std::upper_bound(unreached_.begin(), unreached_.end(), seconds_at - shift) - 1;
  const auto i = static_cast<std::size_t>(found - unreached_.begin());
  return sys_seconds{seconds{std::max(begins_[i] + shift, seconds_at - offsets_[i])}};
}

} // namespace skyengine
