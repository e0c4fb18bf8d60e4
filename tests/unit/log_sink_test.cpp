#include "config/log_sink.hpp"

#include <boost/json.hpp>
#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <array>
#include <chrono>
#include <cstdint>
#include <future>
#include <memory>
#include <sstream>
#include <string>
#include <vector>

namespace skyengine::config {
namespace {

using namespace std::chrono_literals;
using testing::HasSubstr;
using testing::Not;
using testing::SizeIs;

class LogSink : public testing::Test {
protected:
  LogSink() {
    EXPECT_EQ(::pipe2(ends.data(), O_CLOEXEC), 0);
    options.descriptor = ends[1];
  }
  ~LogSink() override {
    close_end(0);
    close_end(1);
  }

  void close_end(std::size_t which) {
    if (ends[which] >= 0)
      ::close(ends[which]);
    ends[which] = -1;
  }

  /// All that comes until the writing end is closed.
  static std::string read_all(int descriptor) {
    std::string text;
    std::array<char, 65'536> buffer{};
    for (ssize_t count = 0; (count = ::read(descriptor, buffer.data(), buffer.size())) > 0;)
      text.append(buffer.data(), static_cast<std::size_t>(count));
    return text;
  }

  /// Ends the sink and answers the lines that it wrote.
  std::vector<boost::json::object> lines_of(std::unique_ptr<log_sink> sink) {
    auto text = std::async(std::launch::async, read_all, ends[0]);
    sink.reset();
    close_end(1);
    std::istringstream all{text.get()};
    std::vector<boost::json::object> lines;
    for (std::string line; std::getline(all, line);)
      lines.push_back(boost::json::parse(line).as_object());
    return lines;
  }

  std::array<int, 2> ends{-1, -1};
  log_options options;
};

TEST_F(LogSink, WritesLinesInTheirOrder) {
  auto sink = std::make_unique<log_sink>(options);
  for (int i = 0; i < 100; ++i)
    sink->write(log::level::info, "entry", {{"n", i}});
  const auto lines = lines_of(std::move(sink));
  ASSERT_THAT(lines, SizeIs(100));
  for (std::size_t i = 0; i < lines.size(); ++i)
    EXPECT_EQ(lines[i].at("n").as_int64(), static_cast<std::int64_t>(i));
}

TEST_F(LogSink, LeavesOutWhatIsBelowItsLevel) {
  options.least = log::level::warn;
  auto sink = std::make_unique<log_sink>(options);
  sink->write(log::level::debug, "1", {});
  sink->write(log::level::info, "2", {});
  sink->write(log::level::warn, "3", {});
  sink->write(log::level::error, "4", {});
  const auto lines = lines_of(std::move(sink));
  ASSERT_THAT(lines, SizeIs(2));
  EXPECT_EQ(lines[0].at("msg"), "3");
  EXPECT_EQ(lines[1].at("level"), "error");
}

TEST_F(LogSink, IsWhereTheLogGoesOnceInstalled) {
  auto sink = std::make_unique<log_sink>(options);
  log::set_sink(sink.get());
  log::warn("careful", {{"actor", "gateway"}});
  log::set_sink(nullptr);
  log::warn("nobody hears");
  const auto lines = lines_of(std::move(sink));
  ASSERT_THAT(lines, SizeIs(1));
  EXPECT_EQ(lines[0].at("msg"), "careful");
  EXPECT_EQ(lines[0].at("actor"), "gateway");
}

TEST_F(LogSink, ForgetsNoSecret) {
  auto sink = std::make_unique<log_sink>(options);
  sink->add_secret("hush-token");
  sink->write(log::level::info, "Bearer hush-token", {});
  const auto lines = lines_of(std::move(sink));
  ASSERT_THAT(lines, SizeIs(1));
  EXPECT_EQ(lines[0].at("msg"), "Bearer ***");
}

TEST_F(LogSink, DropsTheOldestForASlowReaderAndCountsThem) {
  constexpr std::int64_t entries = 20'000;
  options.waiting_max = 16;
  auto sink = std::make_unique<log_sink>(options);
  // Nobody reads: the pipe fills, then the queue; and still nobody who logs waits.
  for (std::int64_t i = 0; i < entries; ++i)
    sink->write(log::level::info, "entry", {{"n", i}});
  const auto lines = lines_of(std::move(sink));
  std::int64_t written = 0;
  std::int64_t lost = 0;
  std::int64_t last = -1;
  for (const auto& line : lines) {
    if (line.at("msg") == "log entries were lost") {
      EXPECT_EQ(line.at("level"), "warn");
      lost += line.at("count").as_int64();
    } else {
      ++written;
      EXPECT_LT(last, line.at("n").as_int64());
      last = line.at("n").as_int64();
    }
  }
  EXPECT_GT(lost, 0);
  EXPECT_EQ(written + lost, entries);
  EXPECT_EQ(last, entries - 1);
}

TEST_F(LogSink, EndsThoughNobodyReads) {
  options.grace = 10ms;
  auto sink = std::make_unique<log_sink>(options);
  const std::string line(10'000, 'x');
  for (int i = 0; i < 100; ++i)
    sink->write(log::level::info, line, {});
  sink.reset();
  close_end(1);
  EXPECT_THAT(read_all(ends[0]), HasSubstr(R"("msg":"xxx)"));
}

TEST_F(LogSink, OutlivesAReaderThatLeaves) {
  auto sink = std::make_unique<log_sink>(options);
  close_end(0);
  for (int i = 0; i < 1'000; ++i)
    sink->write(log::level::info, "to nobody", {});
  sink.reset();
  // A write here would have killed the process by SIGPIPE.
  EXPECT_EQ(::write(ends[1], "x", 1), -1);
  EXPECT_EQ(errno, EPIPE);
}

TEST_F(LogSink, OutlivesAFullDiskAndAClosedDescriptor) {
  const auto full = ::open("/dev/full", O_WRONLY | O_CLOEXEC);
  ASSERT_GE(full, 0);
  for (const auto descriptor : {full, -1, 1'000'000}) {
    options.descriptor = descriptor;
    log_sink sink{options};
    for (int i = 0; i < 1'000; ++i)
      sink.write(log::level::info, "to nowhere", {});
  }
  ::close(full);
}

TEST_F(LogSink, SaysWhatWasLostOnceItCanWriteAgain) {
  // A descriptor that is full first and takes lines later: the same number, other files behind it.
  const auto target = ::open("/dev/full", O_WRONLY | O_CLOEXEC);
  ASSERT_GE(target, 0);
  options.descriptor = target;
  options.waiting_max = 1;
  auto sink = std::make_unique<log_sink>(options);
  auto reader = std::async(std::launch::async, [this] { return read_all(ends[0]); });
  for (int i = 0; i < 100; ++i)
    sink->write(log::level::info, "lost", {});
  ASSERT_EQ(::dup2(ends[1], target), target);
  close_end(1);
  sink->write(log::level::info, "written", {});
  sink.reset();
  ::close(target);
  const auto text = reader.get();
  EXPECT_THAT(text, HasSubstr(R"("msg":"log entries were lost","count":)"));
  EXPECT_THAT(text, HasSubstr(R"("msg":"written")"));
}

} // namespace
} // namespace skyengine::config
