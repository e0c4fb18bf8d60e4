#include "config/setting_sources.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>
#include <string>

namespace skyengine::config {
namespace {

using testing::HasSubstr;

std::map<std::string, std::string> texts(const source& found) {
  std::map<std::string, std::string> by_key;
  for (const auto& [key, written] : found.values)
    by_key[key] = written.text;
  return by_key;
}

TEST(Dotenv, ReadsTheFormsThatShellsAndPanelsWrite) {
  const auto found = read_dotenv("# comment\n"
                                 "\n"
                                 "PLAIN=a b#c # comment\n"
                                 "  export SPACED = value \r\n"
                                 "EMPTY=\n"
                                 "COMMENT_ALONE= # nothing\n"
                                 "SINGLE='as \"it\" $is\\n' # comment\n"
                                 "DOUBLE=\"two\\nlines \\\"q\\\" \\$x \\\\ # no comment\"\n"
                                 "EQUALS=a=b==",
                                 ".env");
  EXPECT_TRUE(found.mistakes.empty()) << found.mistakes.front().reason;
  EXPECT_EQ(texts(found),
            (std::map<std::string, std::string>{{"PLAIN", "a b#c"},
                                                {"SPACED", "value"},
                                                {"EMPTY", ""},
                                                {"COMMENT_ALONE", ""},
                                                {"SINGLE", "as \"it\" $is\\n"},
                                                {"DOUBLE", "two\nlines \"q\" $x \\ # no comment"},
                                                {"EQUALS", "a=b=="}}));
  EXPECT_EQ(found.values.at("SPACED").origin, "line 4 of .env");
}

TEST(Dotenv, NamesTheLineOfEachMistakeButNotItsText) {
  const auto found = read_dotenv(
    "GOOD=1\nsecret-without-name\n1A=x\nA B=x\nOPEN=\"x\nOPEN2='x\nBEHIND='x'y\nESC=\"\\q\"\n=x\n", ".env");
  ASSERT_EQ(found.mistakes.size(), 8U);
  for (std::size_t i = 0; i < found.mistakes.size(); ++i)
    EXPECT_EQ(found.mistakes[i], (mistake{".env", "line " + std::to_string(i + 2) + " is not KEY=value"}));
  EXPECT_EQ(texts(found), (std::map<std::string, std::string>{{"GOOD", "1"}}));
}

TEST(Dotenv, RefusesAKeyThatStandsTwice) {
  const auto found = read_dotenv("A=1\nA=2\n", ".env");
  ASSERT_EQ(found.mistakes.size(), 1U);
  EXPECT_EQ(found.mistakes.front().key, "A");
  EXPECT_THAT(found.mistakes.front().reason, HasSubstr("line 2"));
}

TEST(Toml, ReadsEachKindInTomlsOwnType) {
  const auto found = read_toml("shutdown_grace = \"20s\"\n"
                               "[http]\n"
                               "patience = 0\n"
                               "listen = \"[::1]:80\"\n"
                               "max_body = \"1MiB\"\n"
                               "max_header = 2048\n"
                               "trusted_proxies = [\"10.0.0.1\", \"10.0.0.2\"]\n"
                               "[virtfusion]\n"
                               "ssl_verify = false\n"
                               "max_in_flight = 8\n",
                               "skyengine.toml");
  EXPECT_TRUE(found.mistakes.empty()) << found.mistakes.front().reason;
  EXPECT_EQ(texts(found), (std::map<std::string, std::string>{{"shutdown_grace", "20s"},
                                                              {"http.patience", "0"},
                                                              {"http.listen", "[::1]:80"},
                                                              {"http.max_body", "1MiB"},
                                                              {"http.max_header", "2048"},
                                                              {"http.trusted_proxies", "10.0.0.1,10.0.0.2"},
                                                              {"virtfusion.ssl_verify", "false"},
                                                              {"virtfusion.max_in_flight", "8"}}));
  EXPECT_EQ(found.values.at("virtfusion.ssl_verify").origin, "line 9 of skyengine.toml");
}

TEST(Toml, NamesEveryUnknownKeyAndWrongType) {
  const auto found = read_toml("patience = \"1s\"\n"
                               "http = 5\n"
                               "[virtfusion]\n"
                               "api_tokn = \"hush\"\n"
                               "ssl_verify = \"false\"\n"
                               "max_in_flight = \"8\"\n"
                               "rate = 1.5\n"
                               "api_url = [\"https://h\"]\n"
                               "[virtfusion.deeper]\n"
                               "max_in_flight = 3\n"
                               "[provisioning]\n"
                               "settle = 30\n"
                               "[log]\n"
                               "level = 1\n",
                               "skyengine.toml");
  std::map<std::string, std::string> reasons;
  for (const auto& [key, reason] : found.mistakes) {
    reasons[key] = reason;
    EXPECT_THAT(reason, testing::Not(HasSubstr("hush")));
  }
  EXPECT_EQ(reasons.size(), 10U);
  for (const auto* unknown : {"patience", "http", "virtfusion.api_tokn", "virtfusion.deeper"})
    EXPECT_THAT(reasons[unknown], HasSubstr("no such setting")) << unknown;
  EXPECT_THAT(reasons["virtfusion.ssl_verify"],
              HasSubstr("true or false, without quotes (line 5 of skyengine.toml)"));
  EXPECT_THAT(reasons["virtfusion.max_in_flight"], HasSubstr("a whole number, without quotes"));
  EXPECT_THAT(reasons["virtfusion.rate"], HasSubstr("a whole number"));
  EXPECT_THAT(reasons["virtfusion.api_url"], HasSubstr("a string"));
  EXPECT_THAT(reasons["provisioning.settle"], HasSubstr("a string as in \"90s\""));
  EXPECT_THAT(reasons["log.level"], HasSubstr("a string"));
  EXPECT_TRUE(found.values.empty());
}

TEST(Toml, SaysWhereItIsNoToml) {
  const auto found = read_toml("[http]\npatience = = 1\n", "skyengine.toml");
  ASSERT_EQ(found.mistakes.size(), 1U);
  EXPECT_EQ(found.mistakes.front().key, "skyengine.toml");
  EXPECT_THAT(found.mistakes.front().reason, HasSubstr("line 2"));
  EXPECT_FALSE(read_toml(std::string(100'000, '['), "deep.toml").mistakes.empty());
  EXPECT_FALSE(read_toml("a = \"\xff\"", "latin.toml").mistakes.empty());
}

} // namespace
} // namespace skyengine::config
