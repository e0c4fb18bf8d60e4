#include "net/http/client.hpp"
#include "tests/support/http.hpp"

#include <gtest/gtest.h>

#include <chrono>
#include <string>

namespace skyengine::net::http {
namespace {

using namespace std::chrono_literals;
using test::peer_connection;
using test::scripted_peer;

constexpr auto hello = "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello";

asio::awaitable<void> answer_always(peer_connection& connection) {
  while (!(co_await connection.read_request()).empty())
    co_await connection.send(hello);
}

class HttpClient : public testing::Test {
protected:
  boost::system::result<client_response, exchange_failure> get(client& from, client_request request = {}) {
    if (request.target.empty())
      request.target = "/";
    return test::run(loop_, from.exchange(std::move(request)));
  }

  asio::io_context loop_{1};
};

TEST_F(HttpClient, ReusesItsConnection) {
  scripted_peer peer{loop_, answer_always};
  client http{loop_.get_executor(), {.origin = peer.origin()}};
  for (int i = 0; i < 3; ++i) {
    const auto answer = get(http);
    ASSERT_TRUE(answer) << answer.error().detail;
    EXPECT_EQ(answer->status, 200U);
    EXPECT_EQ(answer->body, "hello");
  }
  EXPECT_EQ(peer.accepted(), 1U);
  EXPECT_EQ(http.connections(), 1U);
}

} // namespace
} // namespace skyengine::net::http
