#include "net/http/url.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace skyengine::net::http {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

std::vector<std::string> segments(std::string_view path) {
  auto parsed = path_segments(path);
  return parsed ? std::move(*parsed) : std::vector<std::string>{"refused: " + parsed.error().detail};
}

TEST(PathSegments, AreDecodedAfterTheCut) {
  EXPECT_THAT(segments("/"), IsEmpty());
  EXPECT_THAT(segments("/v1/servers"), ElementsAre("v1", "servers"));
  EXPECT_THAT(segments("/v1/servers/"), ElementsAre("v1", "servers", ""));
  EXPECT_THAT(segments("//"), ElementsAre("", ""));
  EXPECT_THAT(segments("/a%2Fb/c%20d+e"), ElementsAre("a/b", "c d+e"));
  EXPECT_THAT(segments("/%e2%82%ac"), ElementsAre("\u20ac"));
}

class BadPath : public testing::TestWithParam<const char*> {};

TEST_P(BadPath, IsMalformed) {
  const auto parsed = path_segments(GetParam());
  ASSERT_TRUE(parsed.has_error());
  EXPECT_EQ(parsed.error().code, errc::malformed_request);
}

INSTANTIATE_TEST_SUITE_P(Paths,
                         BadPath,
                         testing::Values("",
                                         "v1",
                                         "/%",
                                         "/%1",
                                         "/%zz",
                                         "/%0",
                                         "/%00",
                                         "/a%0d%0ab",
                                         "/%ff",
                                         "/%c0%af",
                                         "/../etc",
                                         "/v1/..",
                                         "/%2e%2e/x",
                                         "/./x",
                                         "/%7f"));

std::vector<query_parameter> parameters(std::string_view query) {
  auto parsed = parse_query(query);
  return parsed ? std::move(*parsed) : std::vector<query_parameter>{{"refused", parsed.error().detail}};
}

TEST(ParseQuery, KeepsOrderAndRepetitions) {
  EXPECT_THAT(parameters(""), IsEmpty());
  EXPECT_THAT(parameters("a=1&b=2&a=3"),
              ElementsAre(query_parameter{"a", "1"}, query_parameter{"b", "2"}, query_parameter{"a", "3"}));
  EXPECT_THAT(parameters("a&b=&=c&&d=e=f"),
              ElementsAre(query_parameter{"a", ""}, query_parameter{"b", ""}, query_parameter{"", "c"},
                          query_parameter{"d", "e=f"}));
}

TEST(ParseQuery, DecodesBothSides) {
  EXPECT_THAT(parameters("a%26b=c+d%2Be&%C3%A4=%20"),
              ElementsAre(query_parameter{"a&b", "c d+e"}, query_parameter{"\u00e4", " "}));
}

TEST(ParseQuery, RefusesBadEscapes) {
  for (const auto* const bad : {"a=%", "a=%4", "a=%g1", "%=a", "a=%00", "a=%0A", "a=%80"})
    EXPECT_TRUE(parse_query(bad).has_error()) << bad;
}

TEST(ParseQuery, BoundsTheNumberOfParameters) {
  std::string query;
  for (int i = 0; i < 100; ++i)
    query += "a=1&";
  EXPECT_EQ(parameters(query).size(), 100U);
  EXPECT_TRUE(parse_query(query + "a=1").has_error());
}

TEST(EncodeComponent, LeavesOnlyUnreservedCharacters) {
  EXPECT_EQ(encode_component("Az09-._~"), "Az09-._~");
  EXPECT_EQ(encode_component("a b/c?d&e=f%g+\u00e4"), "a%20b%2Fc%3Fd%26e%3Df%25g%2B%C3%A4");
}

TEST(MakeQuery, IsReadBackAsItWas) {
  const std::vector<query_parameter> all{{"a b", "c&d"}, {"", "="}, {"\u20ac", "100%"}};
  const auto back = parse_query(make_query(all));
  ASSERT_TRUE(back.has_value());
  EXPECT_EQ(*back, all);
}

} // namespace
} // namespace skyengine::net::http
