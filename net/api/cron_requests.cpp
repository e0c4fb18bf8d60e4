#include "net/api/cron_requests.hpp"

#include "domain/cron_expression.hpp"
#include "domain/time_format.hpp"

#include <algorithm>
#include <cstddef>
#include <string>

namespace skyengine::net::api {

namespace {

using enum presence;
using std::chrono::sys_seconds;
using namespace std::chrono_literals;

constexpr std::int64_t longest_timeout = 604'800;
constexpr std::int64_t longest_jitter = 86'400;
constexpr std::int64_t longest_window = 2 * 31'622'400;
constexpr std::int64_t most_retries = 100;
constexpr std::int64_t most_failures = 1'000;
constexpr std::ptrdiff_t longest_note = 500;

std::string without_prefix(std::string_view text, std::string_view prefix) {
  return std::string{text.starts_with(prefix) ? text.substr(prefix.size()) : text};
}

result<> check_expression(std::string_view text) {
  if (const auto parsed = parse_cron(text); !parsed)
    return error{errc::invalid_request, without_prefix(parsed.error().detail, "expression: ")};
  return {};
}

result<> check_note(std::string_view text) {
  // Of UTF-8, each character has one byte that continues none.
  const auto length = std::count_if(text.begin(), text.end(), [](char c) { return (c & 0xC0) != 0x80; });
  if (length < 1 || length > longest_note)
    return error{errc::invalid_request, "is not 1 to " + std::to_string(longest_note) + " characters long"};
  return {};
}

template <class E>
void read_rule(field_reader& fields,
               std::string_view name,
               std::optional<E> (*parse)(std::string_view) noexcept,
               std::string_view known,
               E& to) {
  const auto text = fields.text(name, optional);
  if (!text)
    return;
  if (const auto rule = parse(*text))
    to = *rule;
  else
    fields.fault(name, "is none of " + std::string{known});
}

void read_seconds(field_reader& fields,
                  std::string_view name,
                  std::int64_t least,
                  std::int64_t most,
                  std::chrono::seconds& to) {
  if (const auto seconds = fields.integer(name, optional, least, most))
    to = std::chrono::seconds{*seconds};
}

/// A moment in whole seconds that is not yet to come.
std::optional<sys_seconds>
read_past_time(field_reader& fields, std::string_view name, presence need, instant now) {
  const auto text = fields.text(name, need);
  if (!text)
    return std::nullopt;
  const auto at = parse_whole_seconds(*text);
  if (!at) {
    fields.fault(name, at.error().detail);
    return std::nullopt;
  }
  if (*at > now) {
    fields.fault(name, "is yet to come: it is " + format_time(std::chrono::floor<std::chrono::seconds>(now)));
    return std::nullopt;
  }
  if (*at < earliest_run) {
    fields.fault(name, "is before the year 2000");
    return std::nullopt;
  }
  return *at;
}

} // namespace

void apply_patch(schedule& what, const boost::json::object& body, field_faults& faults) {
  field_reader fields{body, faults};
  if (auto expression = fields.text("expression", optional, check_expression))
    what.expression = std::move(*expression);
  if (auto zone = fields.text("timezone", optional))
    what.timezone = std::move(*zone);
  const auto was_paused = what.is_paused;
  what.is_paused = fields.boolean("paused", optional).value_or(was_paused);
  if (was_paused && !what.is_paused)
    what.note.reset();
  if (fields.is_null("note"))
    what.note.reset();
  else if (auto note = fields.text("note", optional, check_note))
    what.note = std::move(*note);
  read_rule(fields, "catchUp", parse_catch_up_rule, "all, latest, none", what.catch_up);
  read_seconds(fields, "catchUpWindow", 0, longest_window, what.catch_up_window);
  read_rule(fields, "overlap", parse_overlap_rule, "skip, queue, allow", what.overlap);
  read_seconds(fields, "timeout", 1, longest_timeout, what.timeout);
  read_seconds(fields, "jitter", 0, longest_jitter, what.jitter);
  if (const auto retries = fields.integer("retries", optional, 0, most_retries))
    what.retries = static_cast<int>(*retries);
  if (const auto count = fields.integer("alertAfter", optional, 1, most_failures))
    what.alert_after = static_cast<int>(*count);
  if (fields.is_null("pauseAfter"))
    what.pause_after.reset();
  else if (const auto count = fields.integer("pauseAfter", optional, 1, most_failures))
    what.pause_after = static_cast<int>(*count);
  fields.finish();
}

std::optional<sys_seconds>
parse_run_request(const boost::json::object& body, instant now, field_faults& faults) {
  field_reader fields{body, faults};
  const auto at = read_past_time(fields, "at", optional, now);
  fields.finish();
  return at;
}

backfill_request parse_backfill(const boost::json::object& body, instant now, field_faults& faults) {
  backfill_request wanted;
  field_reader fields{body, faults};
  const auto from = read_past_time(fields, "from", required, now);
  const auto to = read_past_time(fields, "to", required, now);
  if (from)
    wanted.from = *from;
  if (to)
    wanted.to = *to;
  if (from && to && *to < *from)
    fields.fault("to", "is before from");
  read_rule(fields, "which", parse_backfill_rule, "missing, failed, all", wanted.which);
  wanted.is_dry_run = fields.boolean("dryRun", optional).value_or(false);
  fields.finish();
  return wanted;
}

} // namespace skyengine::net::api
