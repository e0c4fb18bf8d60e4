#include "net/http/strict_json.hpp"

#include <boost/json/object.hpp>
#include <boost/json/serialize.hpp>
#include <gtest/gtest.h>

#include <string>

namespace skyengine::net::http {
namespace {

using namespace std::string_literals;

struct bad_json_case {
  const char* name;
  std::string text;
  std::string detail;
};

std::string nested(std::size_t depth) {
  return std::string(depth, '[') + std::string(depth, ']');
}

class StrictJson : public testing::TestWithParam<bad_json_case> {};

TEST_P(StrictJson, RefusesWithLineAndColumn) {
  const auto parsed = parse_strict(GetParam().text);
  ASSERT_TRUE(parsed.has_error());
  EXPECT_EQ(parsed.error().code, errc::malformed_request);
  EXPECT_EQ(parsed.error().detail, GetParam().detail);
}

INSTANTIATE_TEST_SUITE_P(
  Documents,
  StrictJson,
  testing::Values(
    bad_json_case{"empty", "", "line 1, column 1: the document ends too early"},
    bad_json_case{"blank", " \n ", "line 2, column 2: the document ends too early"},
    bad_json_case{"cut", "{\"a\": [1,", "line 1, column 10: the document ends too early"},
    bad_json_case{"no_json", "hello", "line 1, column 1: not JSON"},
    bad_json_case{"trailing_comma_of_object", "{\n  \"a\": 1,\n}", "line 3, column 1: not JSON"},
    bad_json_case{"trailing_comma_of_array", "[1,]", "line 1, column 4: not JSON"},
    bad_json_case{"trailing_garbage", "{} x", "line 1, column 4: more behind the document's end"},
    bad_json_case{"second_document", "{}\n{}", "line 2, column 1: more behind the document's end"},
    bad_json_case{"duplicate_key", "{\"a\": 1,\n \"a\": 2}",
                  "line 2, column 4: a key that stands there twice"},
    bad_json_case{"duplicate_escaped_key", R"({"a": 1, "\u0061": 2})",
                  "line 1, column 17: a key that stands there twice"},
    bad_json_case{"nested_duplicate_key", R"([{"b": {"a": 1, "a": 1}}])",
                  "line 1, column 19: a key that stands there twice"},
    bad_json_case{"not_a_number", "NaN", "line 1, column 1: not JSON"},
    bad_json_case{"infinity", "[Infinity]", "line 1, column 2: not JSON"},
    bad_json_case{"negative_infinity", "-Infinity", "line 1, column 2: not JSON"},
    bad_json_case{"overflow", "[1e400]", "line 1, column 7: a number too large"},
    bad_json_case{"huge_exponent", "1e99999999999", "line 1, column 12: a number too large"},
    bad_json_case{"leading_zero", "[01]", "line 1, column 3: not JSON"},
    bad_json_case{"plus", "[+1]", "line 1, column 2: not JSON"},
    bad_json_case{"hexadecimal", "[0x10]", "line 1, column 3: not JSON"},
    bad_json_case{"single_quotes", "{'a': 1}", "line 1, column 2: not JSON"},
    bad_json_case{"comment", "[1] // one", "line 1, column 5: more behind the document's end"},
    bad_json_case{"too_deep", nested(33), "line 1, column 33: nested too deeply"},
    bad_json_case{"absurdly_deep", nested(10'000), "line 1, column 33: nested too deeply"},
    bad_json_case{"leading_surrogate", R"(["\ud800"])", "line 1, column 9: not JSON"},
    bad_json_case{"leading_surrogate_and_text", R"(["\ud800abcdef"])", "line 1, column 9: not JSON"},
    bad_json_case{"two_leading_surrogates", R"(["\ud800\ud800"])",
                  "line 1, column 11: half of a surrogate pair"},
    bad_json_case{"trailing_surrogate", R"(["\udc00"])", "line 1, column 9: half of a surrogate pair"},
    bad_json_case{"surrogate_as_utf8", "[\"\xed\xa0\x80\"]", "line 1, column 3: not JSON"},
    bad_json_case{"escaped_nul", R"(["a\u0000"])", "line 1, column 10: NUL in a string"},
    bad_json_case{"escaped_nul_in_key", R"({"\u0000": 1})", "line 1, column 9: NUL in a string"},
    bad_json_case{"raw_nul", "[\"abc\0\"]"s, "line 1, column 6: not JSON"},
    bad_json_case{"nul_behind", "{}   \0"s, "line 1, column 6: more behind the document's end"},
    bad_json_case{"raw_newline_in_string", "[\"a\nb\"]", "line 1, column 4: not JSON"},
    bad_json_case{"byte_order_mark", "\xef\xbb\xbf{}",
                  "line 1, column 1: a byte order mark before the document"},
    bad_json_case{"utf16_with_mark", "\xff\xfe{\0}\0"s, "line 1, column 1: not UTF-8"},
    bad_json_case{"utf16_without_mark", "\0{\0}"s, "line 1, column 1: not UTF-8"},
    bad_json_case{"stray_continuation", "[\"\x80\"]", "line 1, column 3: not JSON"},
    bad_json_case{"overlong", "[\"\xc0\xaf\"]", "line 1, column 3: not JSON"},
    bad_json_case{"cut_sequence", "[\"\xe2\x82\"]", "line 1, column 3: not JSON"},
    bad_json_case{"long_string", "[\"" + std::string(256 * 1024 + 1, 'x') + "\"]",
                  "line 1, column 262148: a string too long"},
    bad_json_case{"bad_escape", R"(["\x41"])", "line 1, column 4: not JSON"},
    bad_json_case{"short_escape", R"(["\u12"])",
                  "line 1, column 7: an escape without its four hexadecimal digits"},
    bad_json_case{"characters_not_bytes", "[\"\u00e4\u00f6\u20ac\U0001f600\", x]",
                  "line 1, column 10: not JSON"}),
  [](const auto& test) { return std::string{test.param.name}; });

TEST(ParseStrict, KeepsNumbersApart) {
  const auto parsed = parse_strict(
    "[-9223372036854775808, 9223372036854775807, 9223372036854775808, 18446744073709551615, 1.5, 1e3, -0]");
  ASSERT_TRUE(parsed.has_value()) << parsed.error().detail;
  const auto& list = parsed->get_array();
  EXPECT_EQ(list[0].get_int64(), std::numeric_limits<std::int64_t>::min());
  EXPECT_EQ(list[1].get_int64(), std::numeric_limits<std::int64_t>::max());
  EXPECT_EQ(list[2].get_uint64(), 9'223'372'036'854'775'808U);
  EXPECT_EQ(list[3].get_uint64(), std::numeric_limits<std::uint64_t>::max());
  EXPECT_DOUBLE_EQ(list[4].get_double(), 1.5);
  EXPECT_TRUE(list[5].is_double());
  EXPECT_TRUE(list[6].is_int64());
}

TEST(ParseStrict, ReadsWhatIsAllowed) {
  const std::string text = R"({"a":[1,true,false,null,"x\n\u00e4\ud83d\ude00"],"b":{"a":{},"c":[]},"":""})";
  const auto parsed = parse_strict(" \r\n\t" + text + "\n");
  ASSERT_TRUE(parsed.has_value()) << parsed.error().detail;
  EXPECT_EQ(*parsed, boost::json::parse(text));
}

TEST(ParseStrict, ReadsUpToItsLimits) {
  EXPECT_TRUE(parse_strict(nested(max_json_depth)).has_value());
  const auto longest = parse_strict("\"" + std::string(max_json_string_bytes, 'x') + "\"");
  ASSERT_TRUE(longest.has_value());
  EXPECT_EQ(longest->get_string().size(), max_json_string_bytes);
}

TEST(ParseStrict, BoundsTheMembersOfAnObject) {
  const auto object = [](std::size_t members) {
    std::string text = "{";
    for (std::size_t i = 0; i < members; ++i)
      text += (i == 0 ? "\"" : ",\"") + std::to_string(i) + "\":0";
    return text + "}";
  };
  const auto largest = parse_strict(object(max_json_members));
  ASSERT_TRUE(largest.has_value());
  EXPECT_EQ(largest->get_object().size(), max_json_members);
  const auto larger = parse_strict(object(max_json_members + 1));
  ASSERT_TRUE(larger.has_error());
  EXPECT_NE(larger.error().detail.find("an object with too many members"), std::string::npos);
}

} // namespace
} // namespace skyengine::net::http
