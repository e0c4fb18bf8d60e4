#include "config/log_sink.hpp"

#include "config/log_line.hpp"
#include "config/secret_filter.hpp"

#include <poll.h>
#include <pthread.h>
#include <spdlog/async_logger.h>
#include <spdlog/details/thread_pool.h>
#include <spdlog/sinks/sink.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <climits>
#include <csignal>
#include <cstdlib>
#include <utility>

namespace skyengine::config {

namespace {

using steady_clock = std::chrono::steady_clock;

std::chrono::sys_time<std::chrono::milliseconds> now() {
  return std::chrono::floor<std::chrono::milliseconds>(std::chrono::system_clock::now());
}

/// Writes lines to a descriptor, on spdlog's thread alone.
class descriptor_sink final : public spdlog::sinks::sink {
public:
  descriptor_sink(log_options options, bool is_coloured) : options_(options), is_coloured_(is_coloured) {}

  /// Whose queue's losses are to be reported. Must outlive the thread that writes.
  void watch(spdlog::details::thread_pool& pool) { pool_ = &pool; }

  /// From now on nothing waits longer than the grace.
  void close() { close_at_ = (steady_clock::now() + options_.grace).time_since_epoch().count(); }

  void log(const spdlog::details::log_msg& entry) override {
    report_losses();
    put(std::string{entry.payload.data(), entry.payload.size()} + '\n');
  }
  void flush() override {}
  void set_pattern(const std::string&) override {}
  void set_formatter(std::unique_ptr<spdlog::formatter>) override {}

private:
  void report_losses() {
    const auto lost = pool_->overrun_counter() + unwritten_;
    if (lost == reported_)
      return;
    const auto line =
      log_line({now(), log::level::warn, "log entries were lost", {{"count", lost - reported_}}},
               options_.format, is_coloured_, secret_filter{});
    if (put(line + '\n'))
      reported_ = lost;
    else
      // The report is none of the entries that count.
      --unwritten_;
  }

  bool put(std::string_view line) {
    // What was cut off in the middle of a line must not swallow the next one.
    const std::string mended = is_inside_line_ ? '\n' + std::string{line} : std::string{};
    auto rest = is_inside_line_ ? std::string_view{mended} : line;
    while (!rest.empty()) {
      const auto count = write_some(rest);
      if (count < 0) {
        ++unwritten_;
        return false;
      }
      rest.remove_prefix(static_cast<std::size_t>(count));
      is_inside_line_ = !rest.empty();
    }
    return true;
  }

  /// How many bytes were written; negative when none can be.
  ssize_t write_some(std::string_view bytes) {
    while (wait_until_writable()) {
      // A pipe that is writable takes this many without blocking.
      const auto count =
        ::write(options_.descriptor, bytes.data(), std::min<std::size_t>(bytes.size(), PIPE_BUF));
      if (count >= 0)
        return count;
      if (errno != EINTR && errno != EAGAIN)
        return -1;
    }
    return -1;
  }

  bool wait_until_writable() const {
    while (true) {
      const auto is_over = steady_clock::now().time_since_epoch().count() >= close_at_;
      pollfd waited{options_.descriptor, POLLOUT, 0};
      const auto ready = ::poll(&waited, 1, is_over ? 0 : slice_ms);
      if (ready > 0)
        return (waited.revents & POLLNVAL) == 0;
      if (is_over || (ready < 0 && errno != EINTR))
        return false;
    }
  }

  // After so long a wait it is looked at whether the end has begun.
  static constexpr int slice_ms = 50;

  const log_options options_;
  const bool is_coloured_;
  spdlog::details::thread_pool* pool_ = nullptr;
  std::atomic<steady_clock::rep> close_at_ = steady_clock::time_point::max().time_since_epoch().count();
  std::size_t unwritten_ = 0;
  std::size_t reported_ = 0;
  bool is_inside_line_ = false;
};

bool shows_colours(const log_options& options) {
  // NOLINTNEXTLINE(concurrency-mt-unsafe): nothing in the process changes the environment.
  const auto* const no_colour = std::getenv("NO_COLOR");
  return options.format == log_format::pretty && ::isatty(options.descriptor) == 1 && no_colour == nullptr;
}

/// Signals are for the thread that runs the loop.
void block_signals() {
  sigset_t all;
  sigfillset(&all);
  pthread_sigmask(SIG_BLOCK, &all, nullptr);
}

} // namespace

struct log_sink::implementation {
  explicit implementation(log_options given)
      : options(given), is_coloured(shows_colours(given)),
        writer(std::make_shared<descriptor_sink>(given, is_coloured)),
        pool(std::make_shared<spdlog::details::thread_pool>(given.waiting_max, 1, block_signals)),
        logger(std::make_shared<spdlog::async_logger>(
          "skyengine", writer, pool, spdlog::async_overflow_policy::overrun_oldest)) {
    writer->watch(*pool);
    logger->set_level(spdlog::level::trace);
    logger->set_error_handler([](const std::string&) {});
  }

  const log_options options;
  const bool is_coloured;
  secret_filter secrets;
  std::shared_ptr<descriptor_sink> writer;
  std::shared_ptr<spdlog::details::thread_pool> pool;
  std::shared_ptr<spdlog::async_logger> logger;
};

log_sink::log_sink(log_options options) {
  std::signal(SIGPIPE, SIG_IGN);
  implementation_ = std::make_unique<implementation>(options);
}

log_sink::~log_sink() {
  implementation_->writer->close();
  // Its destructor lets the thread write what waits, and joins it.
  implementation_->pool.reset();
}

void log_sink::write(log::level severity,
                     std::string_view message,
                     std::initializer_list<log::field> fields) noexcept {
  if (severity < implementation_->options.least)
    return;
  try {
    const auto line = log_line({now(), severity, message, fields}, implementation_->options.format,
                               implementation_->is_coloured, implementation_->secrets);
    implementation_->logger->log(spdlog::level::info, spdlog::string_view_t{line.data(), line.size()});
  } catch (...) {
    // Out of memory: whoever logs must not fail for it.
  }
}

void log_sink::add_secret(std::string secret) {
  implementation_->secrets.add(std::move(secret));
}

} // namespace skyengine::config
