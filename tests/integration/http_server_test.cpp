#include "net/http/server.hpp"
#include "tests/support/http.hpp"

#include <boost/asio/steady_timer.hpp>
#include <gtest/gtest.h>

#include <chrono>
#include <string>

namespace skyengine::net::http {
namespace {

using namespace std::chrono_literals;
using test::raw_connection;

constexpr auto tuple = asio::as_tuple(asio::deferred);

response text_response(std::string body) {
  response answer;
  answer.headers.set(field::content_type, "text/plain");
  answer.body = std::move(body);
  return answer;
}

/// What the tests' handler does, by path.
asio::awaitable<response> handle(const request& req) {
  if (req.path() == "/echo")
    co_return text_response(req.method_text + " " + req.target + " [" + req.body + "]");
  if (req.path() == "/throw")
    throw std::runtime_error("the handler's bug");
  if (req.path() == "/large")
    co_return text_response(std::string(8 * 1024 * 1024, 'x'));
  if (req.path() == "/empty") {
    response answer;
    answer.status = status::no_content;
    co_return answer;
  }
  if (req.path() == "/slow") {
    asio::steady_timer timer{co_await asio::this_coro::executor, 100ms};
    co_await timer.async_wait(tuple);
  }
  co_return text_response("hello");
}

response reject(const error& why, const std::string& request_id) {
  response answer;
  switch (why.code) {
  case errc::malformed_request:
    answer.status = status::bad_request;
    break;
  case errc::header_too_large:
    answer.status = status::request_header_fields_too_large;
    break;
  case errc::payload_too_large:
    answer.status = status::payload_too_large;
    break;
  case errc::request_timeout:
    answer.status = status::request_timeout;
    break;
  case errc::overloaded:
    answer.status = status::service_unavailable;
    break;
  default:
    answer.status = status::internal_server_error;
    break;
  }
  answer.body = why.detail + " (" + request_id + ")";
  return answer;
}

class HttpServer : public testing::Test {
protected:
  void listen(server_options options = {}) {
    listen(std::move(options), [](const request& req) { return handle(req); });
  }

  void listen(server_options options, server::handler handler) {
    server_.emplace(loop_.get_executor(), std::move(options), std::move(handler), reject);
    const auto bound = server_->listen("127.0.0.1", 0);
    ASSERT_TRUE(bound.has_value()) << bound.error().detail;
    endpoint_ = *bound;
  }

  raw_connection connect() { return {loop_, endpoint_}; }

  bool eventually(const std::function<bool()>& holds) { return test::run_until(loop_, holds); }

  asio::io_context loop_{1};
  asio::ip::tcp::endpoint endpoint_;
  std::optional<server> server_;
};

TEST_F(HttpServer, AnswersARequest) {
  listen();
  const auto answer = test::ask(loop_, endpoint_, "POST", "/echo?a=b", "body");
  ASSERT_TRUE(answer);
  EXPECT_EQ(answer->status, 200U);
  EXPECT_EQ(answer->body, "POST /echo?a=b [body]");
  EXPECT_EQ(answer->header("Content-Type"), "text/plain");
  EXPECT_EQ(answer->header("Server"), "skyengine");
  EXPECT_EQ(answer->header("Date").size(), 29U);
}

TEST_F(HttpServer, KeepsTheConnection) {
  listen();
  auto client = connect();
  for (int i = 0; i < 3; ++i) {
    client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    const auto answer = client.answer();
    ASSERT_TRUE(answer);
    EXPECT_EQ(answer->body, "hello");
    EXPECT_TRUE(answer->keeps_alive);
  }
  EXPECT_EQ(server_->counters().connections, 1U);
}

} // namespace
} // namespace skyengine::net::http
