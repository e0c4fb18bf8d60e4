#include "config/log_line.hpp"

#include <boost/json.hpp>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <chrono>
#include <cstdint>
#include <random>
#include <string>

namespace skyengine::config {
namespace {

using namespace std::chrono_literals;
using testing::EndsWith;
using testing::HasSubstr;
using testing::Not;

constexpr auto at = std::chrono::sys_days{std::chrono::year{2026} / 11 / 23} + 10h + 7ms;

class LogLine : public testing::Test {
protected:
  std::string json(std::string_view message, std::initializer_list<log::field> fields = {}) const {
    return log_line({at, log::level::info, message, fields}, log_format::json, false, secrets);
  }
  std::string pretty(std::string_view message, std::initializer_list<log::field> fields = {}) const {
    return log_line({at, log::level::warn, message, fields}, log_format::pretty, false, secrets);
  }

  secret_filter secrets;
};

TEST_F(LogLine, IsOneJsonObject) {
  EXPECT_EQ(
    json("server made", {{"request_id", "r-1"}, {"server_id", 42}, {"is_dry_run", false}}),
    R"({"ts":"2026-11-23T10:00:00.007Z","level":"info","msg":"server made","request_id":"r-1","server_id":42,)"
    R"("is_dry_run":false})");
}

TEST_F(LogLine, ForPeopleHasWordsAndQuotesWhereNeeded) {
  EXPECT_EQ(pretty("slow", {{"operation", "POST /servers"}, {"actor", "gateway"}, {"ms", -1}, {"empty", ""}}),
            R"(10:00:00.007Z WARN  slow operation="POST /servers" actor=gateway ms=-1 empty="")");
}

TEST_F(LogLine, IsColouredByItsLevelIfAsked) {
  EXPECT_EQ(log_line({at, log::level::error, "gone", {}}, log_format::pretty, true, secrets),
            "\x1b[31m10:00:00.007Z ERROR gone\x1b[0m");
}

TEST_F(LogLine, EscapesWhatMovesATerminalOrSplitsALine) {
  const std::string text{"a\"b\\c\n\r\t\x1b[31m\0\x7f\xc2\x9b", 15};
  EXPECT_THAT(json(text), HasSubstr(R"("msg":"a\"b\\c\n\r\t\u001b[31m\u0000\u007f)"));
  EXPECT_THAT(json("", {{"x", "\xc2\x9b"}}), HasSubstr(R"("x":"\u009b")"));
  EXPECT_THAT(pretty("", {{"x", "two\nlines"}}), EndsWith(R"( x="two\nlines")"));
  EXPECT_THAT(pretty("\x1b[2J"), EndsWith(R"( \u001b[2J)"));
}

TEST_F(LogLine, KeepsUtf8AndReplacesWhatIsNone) {
  EXPECT_THAT(json("b\xc3\xbc"
                   "cher \xe2\x82\xac"),
              HasSubstr("b\xc3\xbc"
                        "cher \xe2\x82\xac"));
  EXPECT_THAT(json("a\xff\xc3"), HasSubstr("\"a\xef\xbf\xbd\xef\xbf\xbd\""));
}

TEST_F(LogLine, ShowsNoSecret) {
  secrets.add("hush");
  secrets.add("hush-token\"1");
  secrets.add("abc");
  for (const auto& line : {json("with hush-token\"1", {{"url", "a:hush@h"}, {"abc", "abc"}}),
                           pretty("with hush-token\"1", {{"url", "a:hush@h"}, {"abc", "abc"}})}) {
    EXPECT_THAT(line, Not(HasSubstr("hush")));
    EXPECT_THAT(line, Not(HasSubstr("token")));
    EXPECT_THAT(line, HasSubstr("with ***"));
    EXPECT_THAT(line, HasSubstr("a:***@h"));
    EXPECT_THAT(line, HasSubstr("abc"));
  }
}

TEST_F(LogLine, CutsALongStringButNoSecretAndNoCharacter) {
  secrets.add("hush-token");
  const std::string long_text(logged_string_max - 5, 'x');
  const auto with_secret = json(long_text + "hush-token" + std::string(100'000, 'y'));
  EXPECT_THAT(with_secret, Not(HasSubstr("hush")));
  EXPECT_THAT(with_secret, HasSubstr("***yy… ("));
  EXPECT_THAT(with_secret, HasSubstr("(99998 bytes more)"));
  const auto split = json(std::string(logged_string_max - 1, 'x') + "\xe2\x82\xac");
  EXPECT_THAT(split, HasSubstr("x… (3 bytes more)"));
  EXPECT_THAT(split, Not(HasSubstr("\xef\xbf\xbd")));
}

TEST_F(LogLine, OfAnyBytesIsStillJson) {
  std::mt19937_64 random{1};
  for (int i = 0; i < 5'000; ++i) {
    std::string bytes(random() % 40, '\0');
    for (auto& byte : bytes)
      byte = static_cast<char>(random());
    const auto line = json(bytes, {{"x", std::string_view{bytes}}});
    boost::system::error_code failure;
    const auto parsed = boost::json::parse(line, failure);
    ASSERT_FALSE(failure) << line;
    ASSERT_EQ(parsed.as_object().size(), 4U);
    ASSERT_EQ(line.find('\n'), std::string::npos);
  }
}

} // namespace
} // namespace skyengine::config
