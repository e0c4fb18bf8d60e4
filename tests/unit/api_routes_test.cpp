#include "net/api/documents.hpp"
#include "net/api/route_table.hpp"
#include "net/http/url.hpp"
#include "tests/support/contract.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace skyengine::net::api {
namespace {

std::vector<std::string> route_names() {
  std::vector<std::string> names;
  for (const auto& one : routes()) {
    const auto method = boost::beast::http::to_string(one.method);
    names.push_back(std::string{method.data(), method.size()} + " " + std::string{one.pattern});
  }
  return names;
}

TEST(Routes, AreExactlyTheOperationsOfTheContract) {
  EXPECT_THAT(route_names(), testing::UnorderedElementsAreArray(test::contract::api().operations()));
}

TEST(Routes, ThePageListsThemAllWithTheirSummaries) {
  std::vector<std::string> listed;
  for (const auto& one : operations_of(openapi_yaml())) {
    listed.push_back(one.method + " " + one.path);
    EXPECT_FALSE(one.summary.empty()) << listed.back();
  }
  EXPECT_THAT(listed, testing::UnorderedElementsAreArray(route_names()));
}

TEST(Routes, APathLeadsToOneRouteOrSaysWhatItTakes) {
  const auto match = [](http::verb method, std::string_view path) {
    return match_route(method, *http::path_segments(path));
  };
  const auto found = match(http::verb::get, "/v1/servers/a%2Fb/events");
  ASSERT_TRUE(found && found->found);
  EXPECT_EQ(found->found->pattern, "/v1/servers/{id}/events");
  EXPECT_THAT(found->parameters, testing::ElementsAre("a/b"));
  EXPECT_EQ(match(http::verb::head, "/v1/servers")->found->method, http::verb::get);
  EXPECT_EQ(match(http::verb::put, "/v1/servers")->found, nullptr);
  EXPECT_EQ(match(http::verb::put, "/v1/servers")->allowed, "GET, HEAD, POST");
  for (const auto* path : {"/", "/v1/servers/", "/v1//servers", "/V1/servers", "/v1/servers/1/events/2"})
    EXPECT_FALSE(match(http::verb::get, path)) << path;
}

} // namespace
} // namespace skyengine::net::api
