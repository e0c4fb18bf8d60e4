#pragma once

#include "config/settings.hpp"
#include "domain/log.hpp"

#include <chrono>
#include <cstddef>
#include <initializer_list>
#include <memory>
#include <string>
#include <string_view>

namespace skyengine::config {

struct log_options {
  log_format format = log_format::json;
  /// The least that is written.
  log::level least = log::level::info;
  /// Where lines go: standard error.
  int descriptor = 2;
  /// Lines that may wait for a slow descriptor; beyond that the oldest goes and is counted.
  std::size_t waiting_max = 8'192;
  /// How long the end waits for a descriptor that takes nothing.
  std::chrono::milliseconds grace{1'000};
};

/// Writes what is logged, line by line, on a thread of its own: nobody who logs waits for a disk or a
/// terminal. A descriptor that is closed, full or slow costs lines, never the process; how many were lost is
/// said in a line as soon as one can be written. From its construction on the process ignores SIGPIPE.
class log_sink final : public log::sink {
public:
  explicit log_sink(log_options options);
  /// Writes what waits. The sink must not be installed any more.
  ~log_sink() override;
  log_sink(const log_sink&) = delete;
  log_sink& operator=(const log_sink&) = delete;

  void write(log::level severity,
             std::string_view message,
             std::initializer_list<log::field> fields) noexcept override;

  /// From now on `secret` is replaced by `***` in messages and values.
  void add_secret(std::string secret);

private:
  struct implementation;
  std::unique_ptr<implementation> implementation_;
};

} // namespace skyengine::config
