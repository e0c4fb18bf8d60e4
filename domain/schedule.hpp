#pragma once

#include "domain/clock.hpp"
#include "domain/cron_expression.hpp"
#include "domain/error.hpp"
#include "domain/ids.hpp"

#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

namespace skyengine {

/// What becomes of the times that a schedule missed.
enum class catch_up_rule : std::uint8_t {
  /// Each is run, one after the other.
  all,
  /// The last one is run, the others are skipped.
  latest,
  /// All are skipped.
  none,
};
std::string_view to_string(catch_up_rule rule) noexcept;
std::optional<catch_up_rule> parse_catch_up_rule(std::string_view text) noexcept;

/// What becomes of a time that is due while an earlier run is not over.
enum class overlap_rule : std::uint8_t {
  skip,
  /// One waits, further ones are skipped.
  queue,
  /// It runs beside the other.
  allow,
};
std::string_view to_string(overlap_rule rule) noexcept;
std::optional<overlap_rule> parse_overlap_rule(std::string_view text) noexcept;

/// What fires, and how. Spans of waiting (time-out, jitter) are of real time.
struct schedule {
  schedule_id id;
  std::string name;
  /// What its ticks are for.
  std::string handler;
  std::string expression;
  std::string timezone = "UTC";
  bool is_paused = false;
  /// Why it is paused, for people.
  std::optional<std::string> note;
  catch_up_rule catch_up = catch_up_rule::latest;
  /// Of missed times, those that are longer ago leave no trace.
  std::chrono::seconds catch_up_window{604'800};
  overlap_rule overlap = overlap_rule::skip;
  std::chrono::seconds timeout{3'600};
  /// Each run begins up to so much later than it is due, drawn anew.
  std::chrono::seconds jitter{0};
  /// How often a failed run is tried again.
  int retries = 0;
  /// Failed runs in a row, retries not counted, after which there is an alert, and after which it is paused.
  int alert_after = 3;
  std::optional<int> pause_after;
  /// Failed runs in a row so far.
  int failures = 0;
  /// nullopt while it is paused, and until the timer has seen it.
  std::optional<std::chrono::sys_seconds> next_at;
  /// Raised by every change but the timer's own.
  std::int64_t version = 1;
};

/// What is said where a schedule's handler is not there.
inline constexpr std::string_view nothing_carries_out = "this version has nothing that carries it out";

enum class run_state : std::uint8_t {
  /// Waits for its turn, or for its next try.
  queued,
  running,
  succeeded,
  failed,
  timed_out,
  cancelled,
  /// It was missed, or another run was not over.
  skipped,
};
std::string_view to_string(run_state state) noexcept;
std::optional<run_state> parse_run_state(std::string_view text) noexcept;
constexpr bool is_over(run_state state) noexcept {
  return state >= run_state::succeeded;
}

/// Which times of a range are run by hand.
enum class backfill_rule : std::uint8_t {
  /// Those that were skipped, or have no run.
  missing,
  /// Those whose run failed or timed out.
  failed,
  /// All but those whose run is not over.
  all,
};
std::string_view to_string(backfill_rule rule) noexcept;
std::optional<backfill_rule> parse_backfill_rule(std::string_view text) noexcept;

/// One firing of a schedule.
struct schedule_run {
  run_id id;
  schedule_id schedule;
  /// When it was due, in business time; a schedule has at most one run of each.
  std::chrono::sys_seconds scheduled_at;
  run_state state = run_state::queued;
  /// Asked for by hand.
  bool is_manual = false;
  /// How often it was begun.
  int attempts = 0;
  /// How often the node that ran it was gone before its end.
  int interruptions = 0;
  std::optional<std::string> node;
  std::optional<instant> started_at;
  std::optional<instant> ended_at;
  /// While it is queued: it does not begin before this, in real time.
  std::optional<instant> not_before;
  /// What it counted: a JSON object.
  std::string figures = "{}";
  std::optional<error> failure;
};

/// No run is asked for of a time before this.
inline constexpr std::chrono::sys_seconds earliest_run =
  std::chrono::sys_days{std::chrono::year{2000} / 1 / 1};

/// How often a run whose node is gone is begun anew before it has failed: it may be what ends the nodes.
inline constexpr int most_interruptions = 5;

/// How long to wait before attempt `attempts` + 1: half a minute, doubled each time, at most an hour.
std::chrono::seconds retry_delay(int attempts) noexcept;

} // namespace skyengine
