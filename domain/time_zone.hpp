#pragma once

#include "domain/error.hpp"

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace skyengine {

/// What the clocks of a place show, for all of the years 0000 to 9999: an immutable table of transitions,
/// which is read from a TZif file (RFC 8536) once. What the file's footer says about the time after the last
/// transition that it lists is written out for one cycle of the calendar, 400 years, which then repeats.
/// Questions neither lock nor allocate; instants and local times lie in the years 0000 to 9999.
class time_zone {
public:
  /// UTC.
  time_zone();

  /// Reads the content of a TZif file of version 2 or later. errc::invalid_request with the reason when it is
  /// damaged, or counts leap seconds.
  static result<time_zone> parse(std::string name, std::string_view tzif);

  const std::string& name() const noexcept { return name_; }
  /// Whether it is at UTC always.
  bool is_utc() const noexcept { return begins_.size() == 1 && offsets_.front() == 0; }

  /// A span of time within which the offset from UTC is the same: [begin, end).
  struct span {
    std::chrono::sys_seconds begin;
    std::chrono::sys_seconds end;
    std::chrono::seconds offset;
  };
  span span_at(std::chrono::sys_seconds at) const noexcept;

  /// The first local time that the clocks have neither shown nor passed up to `at` and at it. Between the two
  /// passes of an hour that occurs twice that is the end of the hour.
  std::chrono::local_seconds first_unreached(std::chrono::sys_seconds at) const noexcept;

  /// The first instant at which the clocks show `local` or have passed it: the first of two, and the end of
  /// the gap for a local time that is skipped.
  std::chrono::sys_seconds first_reach(std::chrono::local_seconds local) const noexcept;

private:
  time_zone(std::string name, std::int32_t first_offset);
  void add(std::int64_t at, std::int32_t offset);
  std::size_t index_at(std::int64_t at) const noexcept;
  /// The seconds of the whole cycles by which `at` lies beyond the table, which ends at `last`.
  std::int64_t cycles_until(std::int64_t at, std::int64_t last) const noexcept;

  std::string name_;
  // Of each span: its first second, the first local time that was not reached before it, and its offset.
  // Apart, since the search reads one of them alone.
  std::vector<std::int64_t> begins_;
  std::vector<std::int64_t> unreached_;
  std::vector<std::int32_t> offsets_;
  // The last span begins a cycle after the one that it repeats, and is never looked into.
  bool is_cyclic_ = false;
};

} // namespace skyengine
