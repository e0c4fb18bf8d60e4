#include "domain/rating.hpp"

#include <boost/multiprecision/cpp_int.hpp>

#include <algorithm>

namespace skyengine {

namespace {

using std::chrono::sys_seconds;
using namespace std::chrono_literals;
// NOLINTNEXTLINE(readability-identifier-naming): the compiler's name; a month's price times its seconds.
__extension__ using int128 = __int128;

constexpr std::int64_t seconds_per_hour = 3'600;

std::int64_t month_length(int hours) {
  return seconds_per_hour * hours;
}

int128 product(const rated_time& part) {
  return static_cast<int128>(part.monthly_price.micros) * part.seconds;
}

/// numerator / denominator, half up.
template <class Integer>
Integer round_half_up(const Integer& numerator, const Integer& denominator) {
  return (2 * numerator + denominator) / (2 * denominator);
}

/// Months of different lengths have a common denominator that fits no machine word.
money accrued_of_several_lengths(std::span<const rated_time> parts, money most) {
  using boost::multiprecision::cpp_int;
  cpp_int numerator = 0;
  cpp_int denominator = 1;
  for (const auto& part : parts) {
    const cpp_int length = month_length(part.hours_per_month);
    numerator = numerator * length + cpp_int{part.monthly_price.micros} * part.seconds * denominator;
    denominator *= length;
  }
  const cpp_int sum = round_half_up(numerator, denominator);
  return sum < most.micros ? money{static_cast<std::int64_t>(sum)} : most;
}

/// Whether the first costs more by the hour.
bool is_dearer(const plan_terms& a, const plan_terms& b) {
  return static_cast<int128>(a.monthly_price.micros) * b.hours_per_month >
         static_cast<int128>(b.monthly_price.micros) * a.hours_per_month;
}

std::vector<rated_time> priced(std::span<const plan_terms> versions,
                               const std::vector<std::int64_t>& seconds) {
  std::vector<rated_time> parts;
  for (std::size_t i = 0; i < versions.size(); ++i)
    if (seconds[i] > 0)
      parts.push_back({versions[i].monthly_price, versions[i].hours_per_month, seconds[i]});
  return parts;
}

sys_seconds hour_of(sys_seconds at) {
  return std::chrono::floor<std::chrono::hours>(at);
}

/// What one clock hour counts for, from the pieces of spans in it.
struct counted_hour {
  sys_seconds hour;
  std::vector<billable_span> pieces;
};

/// Adds what an hour counts to `seconds`; answers how much that is, and the version that it is told with.
rated_hour
count(const counted_hour& one, std::span<const plan_terms> versions, std::vector<std::int64_t>& seconds) {
  rated_hour told{one.hour, 0, {}, one.pieces.back().terms};
  const auto is_full = std::any_of(one.pieces.begin(), one.pieces.end(), [&](const auto& piece) {
    return versions[piece.terms].granularity == billing_granularity::hour;
  });
  if (is_full) {
    told.terms = one.pieces.front().terms;
    for (const auto& piece : one.pieces)
      if (!is_dearer(versions[told.terms], versions[piece.terms]))
        told.terms = piece.terms;
    told.seconds = seconds_per_hour;
    seconds[told.terms] += seconds_per_hour;
    return told;
  }
  for (const auto& piece : one.pieces) {
    const auto length = (piece.end - piece.begin).count();
    told.seconds += length;
    seconds[piece.terms] += length;
  }
  return told;
}

/// Calls `each` with every clock hour that the spans touch between `from` and `until`, in order.
template <class Each>
void for_each_hour(std::span<const billable_span> spans, sys_seconds from, sys_seconds until, Each each) {
  counted_hour open{};
  for (const auto& one : spans) {
    auto begin = std::max(one.begin, from);
    const auto end = std::min(one.end, until);
    while (begin < end) {
      const auto hour = hour_of(begin);
      const auto piece_end = std::min(end, hour + 1h);
      if (!open.pieces.empty() && open.hour != hour) {
        each(open);
        open.pieces.clear();
      }
      open.hour = hour;
      open.pieces.push_back({begin, piece_end, one.terms});
      begin = piece_end;
    }
  }
  if (!open.pieces.empty())
    each(open);
}

} // namespace

money accrued(std::span<const rated_time> parts) {
  money most;
  int128 sum = 0;
  auto is_of_one_length = true;
  const rated_time* first = nullptr;
  for (const auto& part : parts) {
    if (part.seconds <= 0)
      continue;
    if (first == nullptr)
      first = &part;
    most = std::max(most, part.monthly_price);
    is_of_one_length = is_of_one_length && part.hours_per_month == first->hours_per_month;
    sum += product(part);
  }
  if (first == nullptr)
    return {};
  if (!is_of_one_length)
    return accrued_of_several_lengths(parts, most);
  const auto micros = round_half_up<int128>(sum, month_length(first->hours_per_month));
  return micros < most.micros ? money{static_cast<std::int64_t>(micros)} : most;
}

month_standing accrue_month(std::span<const plan_terms> versions,
                            std::span<const billable_span> spans,
                            sys_seconds month,
                            sys_seconds until) {
  month_standing standing{{}, std::vector<std::int64_t>(versions.size())};
  const auto counts_hours = std::any_of(versions.begin(), versions.end(), [](const auto& one) {
    return one.granularity == billing_granularity::hour;
  });
  if (counts_hours) {
    // What fills whole hours counts without a look at each of them; only their edges may meet in an hour.
    std::vector<billable_span> edges;
    for (const auto& one : spans) {
      const auto begin = std::max(one.begin, month);
      const auto end = std::min(one.end, until);
      const auto first_full = std::chrono::ceil<std::chrono::hours>(begin);
      const auto last_full = hour_of(end);
      if (first_full >= last_full) {
        edges.push_back({begin, end, one.terms});
        continue;
      }
      standing.seconds[one.terms] += std::chrono::seconds{last_full - first_full}.count();
      edges.push_back({begin, first_full, one.terms});
      edges.push_back({last_full, end, one.terms});
    }
    for_each_hour(edges, month, until,
                  [&](const counted_hour& one) { count(one, versions, standing.seconds); });
  } else {
    for (const auto& one : spans) {
      const auto length = std::min(one.end, until) - std::max(one.begin, month);
      standing.seconds[one.terms] += std::max(length, 0s).count();
    }
  }
  standing.accrued = accrued(priced(versions, standing.seconds));
  return standing;
}

std::vector<rated_hour> rate_hours(std::span<const plan_terms> versions,
                                   std::span<const billable_span> spans) {
  std::vector<rated_hour> hours;
  if (spans.empty())
    return hours;
  std::vector<std::int64_t> seconds(versions.size());
  sys_seconds month{};
  money charged;
  for_each_hour(spans, spans.front().begin, spans.back().end, [&](const counted_hour& one) {
    if (const auto current = month_of(one.hour); hours.empty() || current != month) {
      month = current;
      std::fill(seconds.begin(), seconds.end(), 0);
      charged = {};
    }
    auto told = count(one, versions, seconds);
    const auto standing = accrued(priced(versions, seconds));
    told.charge = {standing.micros - charged.micros};
    charged = standing;
    hours.push_back(told);
  });
  return hours;
}

sys_seconds month_of(sys_seconds at) {
  const std::chrono::year_month_day day{std::chrono::floor<std::chrono::days>(at)};
  return std::chrono::sys_days{day.year() / day.month() / 1};
}

sys_seconds month_after(sys_seconds at) {
  const std::chrono::year_month_day day{std::chrono::floor<std::chrono::days>(at)};
  return std::chrono::sys_days{(day.year() / day.month() + std::chrono::months{1}) / 1};
}

} // namespace skyengine
