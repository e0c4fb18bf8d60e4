#include "config/setting_value.hpp"

#include <gtest/gtest.h>

#include <chrono>
#include <cstdint>
#include <string>
#include <vector>

namespace skyengine::config {
namespace {

using namespace std::chrono_literals;

constexpr value_type whole{value_kind::integer, 2, 100};
constexpr value_type span{value_kind::duration, 0, 3'600'000};
constexpr value_type bytes{value_kind::size, 1'024, 1'048'576};
constexpr value_type flag{value_kind::boolean};
constexpr value_type text{value_kind::text, 0, 10};
constexpr value_type url{value_kind::url};
constexpr value_type database{value_kind::database};
constexpr value_type token{value_kind::token};
constexpr value_type address{value_kind::address};
constexpr value_type addresses{value_kind::addresses};
constexpr value_type format{value_kind::choice, 0, 0, "json|pretty"};

struct good_value {
  const char* name;
  value_type type;
  std::string text;
  value expected;
};

class SettingValue : public testing::TestWithParam<good_value> {};

TEST_P(SettingValue, ReadsWhatFits) {
  const auto parsed = parse_value(GetParam().type, GetParam().text);
  ASSERT_TRUE(parsed) << parsed.error().detail;
  EXPECT_EQ(*parsed, GetParam().expected);
}

const std::string with_path = "https://panel.example.com/api/v1";

INSTANTIATE_TEST_SUITE_P(
  Kinds,
  SettingValue,
  testing::Values(
    good_value{"least", whole, "2", std::int64_t{2}},
    good_value{"most", whole, "100", std::int64_t{100}},
    good_value{"zero_duration", span, "0", 0ms},
    good_value{"milliseconds", span, "500ms", 500ms},
    good_value{"seconds", span, "90s", 90'000ms},
    good_value{"minutes", span, "10m", 600'000ms},
    good_value{"hours", span, "1h", 3'600'000ms},
    good_value{"plain_bytes", bytes, "2000", std::int64_t{2'000}},
    good_value{"kibibytes", bytes, "16KiB", std::int64_t{16'384}},
    good_value{"mebibyte", bytes, "1MiB", std::int64_t{1'048'576}},
    good_value{"yes", flag, "true", true},
    good_value{"no", flag, "false", false},
    good_value{"one", flag, "1", true},
    good_value{"nil", flag, "0", false},
    good_value{"words", text,
               "n\xc3\xb6"
               "de 1",
               std::string{"n\xc3\xb6"
                           "de 1"}},
    good_value{"no_text", text, "", std::string{}},
    good_value{"host_alone", url, "https://panel.example.com", with_path},
    good_value{"host_and_port", url, "http://127.0.0.1:9100", std::string{"http://127.0.0.1:9100/api/v1"}},
    good_value{"root_path", url, "https://panel.example.com/", std::string{"https://panel.example.com/"}},
    good_value{"own_path", url, "https://panel.example.com/x/y",
               std::string{"https://panel.example.com/x/y"}},
    good_value{"no_url", url, "", std::string{}},
    good_value{"database_url", database, "postgresql://a@h/d", std::string{"postgresql://a@h/d"}},
    good_value{"short_database_url", database, "postgres://h/d", std::string{"postgres://h/d"}},
    good_value{"several_hosts", database, "postgresql://u:a%40b@h1:5432,h2/d?target_session_attrs=any",
               std::string{"postgresql://u:a%40b@h1:5432,h2/d?target_session_attrs=any"}},
    good_value{"several_ports", database, "host=h1,h2 port=5433,", std::string{"host=h1,h2 port=5433,"}},
    good_value{"connection_string", database, "host=/run dbname=x", std::string{"host=/run dbname=x"}},
    good_value{"token", token, "abc|DEF~1=", std::string{"abc|DEF~1="}},
    good_value{"loopback", address, "127.0.0.1:8080", listen_address{"127.0.0.1", 8080}},
    good_value{"any_port", address, "localhost:0", listen_address{"localhost", 0}},
    good_value{"version_6", address, "[::1]:65535", listen_address{"::1", 65'535}},
    good_value{"no_addresses", addresses, "", std::vector<std::string>{}},
    good_value{"two_addresses", addresses, "10.0.0.1, 2001:DB8::0:1",
               std::vector<std::string>{"10.0.0.1", "2001:db8::1"}},
    good_value{"second_word", format, "pretty", std::int64_t{1}}),
  [](const auto& test) { return std::string{test.param.name}; });

struct bad_value {
  const char* name;
  value_type type;
  std::string text;
  const char* allowed;
};

class SettingValueRefuses : public testing::TestWithParam<bad_value> {};

TEST_P(SettingValueRefuses, SayingWhatIsAllowed) {
  const auto parsed = parse_value(GetParam().type, GetParam().text);
  ASSERT_FALSE(parsed);
  EXPECT_EQ(parsed.error().code, errc::invalid_request);
  EXPECT_NE(parsed.error().detail.find(GetParam().allowed), std::string::npos) << parsed.error().detail;
}

INSTANTIATE_TEST_SUITE_P(
  Kinds,
  SettingValueRefuses,
  testing::Values(bad_value{"below", whole, "1", "2 to 100"},
                  bad_value{"above", whole, "101", "2 to 100"},
                  bad_value{"no_number", whole, "x", "2 to 100"},
                  bad_value{"empty_number", whole, "", "2 to 100"},
                  bad_value{"negative", whole, "-5", "2 to 100"},
                  bad_value{"signed", whole, "+5", "2 to 100"},
                  bad_value{"fraction", whole, "5.0", "2 to 100"},
                  bad_value{"blank_before", whole, " 5", "2 to 100"},
                  bad_value{"beyond_int64", whole, "99999999999999999999", "2 to 100"},
                  bad_value{"no_unit", span, "90", "0 to 1h"},
                  bad_value{"unknown_unit", span, "1d", "500ms, 90s, 10m, 1h"},
                  bad_value{"too_long", span, "61m", "0 to 1h"},
                  bad_value{"compound", span, "1h30m", "0 to 1h"},
                  bad_value{"overflow", span, "9223372036854775807h", "0 to 1h"},
                  bad_value{"unit_alone", span, "s", "0 to 1h"},
                  bad_value{"capital_unit", span, "5S", "0 to 1h"},
                  bad_value{"too_small", bytes, "1023", "1KiB to 1MiB"},
                  bad_value{"decimal_unit", bytes, "16kB", "1KiB to 1MiB"},
                  bad_value{"maybe", flag, "yes", "true or false"},
                  bad_value{"capital_flag", flag, "TRUE", "true or false"},
                  bad_value{"long_text", text, "12345678901", "at most 10 bytes"},
                  bad_value{"escape", text, "\x1b[31m", "control"},
                  bad_value{"no_scheme", url, "panel.example.com", "https://"},
                  bad_value{"other_scheme", url, "ftp://h", "https://"},
                  bad_value{"no_host", url, "https://", "https://"},
                  bad_value{"user", url, "https://a:b@h", "without user"},
                  bad_value{"query", url, "https://h/?a=b", "without user"},
                  bad_value{"fragment", url, "https://h/#a", "fragment"},
                  bad_value{"blank_inside", url, "https://h/a b", "https://"},
                  bad_value{"mysql", database, "mysql://h/d", "postgresql"},
                  bad_value{"neither", database, "h/d", "this is neither"},
                  bad_value{"bad_escape", database, "postgresql://u:p%zz@h/d", "percent-encoded token"},
                  bad_value{"bare_blank", database, "host=h password=a b user=u", "in single quotes"},
                  bad_value{"open_quote", database, "host='h", "unterminated quoted string"},
                  bad_value{"no_such_option", database, "host=h porrt=5", "invalid connection option"},
                  bad_value{"open_bracket", database, "postgresql://u:p@[::1/d", "end of string"},
                  bad_value{"bare_at", database, "postgresql://u:a@b@h/d", "written %40"},
                  bad_value{"database_port", database, "postgresql://h:65536/d", "1 to 65535"},
                  bad_value{"database_port_name", database, "host=h port=5432,http", "1 to 65535"},
                  bad_value{"nul_in_database", database, std::string("host=h\0x", 8), "control"},
                  bad_value{"header_injection", token, "abc\r\nX: y", "ASCII"},
                  bad_value{"token_with_blank", token, "a b", "ASCII"},
                  bad_value{"port_alone", address, "8080", "host:port"},
                  bad_value{"no_host_part", address, ":8080", "host:port"},
                  bad_value{"bare_version_6", address, "::1:8080", "host:port"},
                  bad_value{"port_too_large", address, "h:65536", "host:port"},
                  bad_value{"port_no_number", address, "h:http", "host:port"},
                  bad_value{"host_name_as_proxy", addresses, "proxy.example.com", "IP addresses"},
                  bad_value{"address_list_with_hole", addresses, "10.0.0.1,,10.0.0.2", "IP addresses"},
                  bad_value{"nul_in_address", addresses, std::string("10.0.0.1\0", 9), "IP addresses"},
                  bad_value{"other_word", format, "yaml", "json, pretty"},
                  bad_value{"two_words", format, "json|pretty", "one of"}),
  [](const auto& test) { return std::string{test.param.name}; });

} // namespace
} // namespace skyengine::config
