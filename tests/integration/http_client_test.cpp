#include "net/http/client.hpp"
#include "net/http/server.hpp"
#include "tests/support/certificate.hpp"
#include "tests/support/http.hpp"

#include <boost/asio/steady_timer.hpp>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>
#include <string>
#include <vector>

namespace skyengine::net::http {
namespace {

using namespace std::chrono_literals;
using test::peer_connection;
using test::scripted_peer;

using outcome = boost::system::result<client_response, exchange_failure>;
using kind = exchange_failure::kind;

constexpr auto tuple = asio::as_tuple(asio::deferred);
constexpr auto hello = "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello";

asio::awaitable<void> answer_always(peer_connection& connection) {
  while (!(co_await connection.read_request()).empty())
    co_await connection.send(hello);
}

asio::awaitable<void> wait_for_the_end(peer_connection& connection) {
  while (!connection.is_closed())
    co_await connection.read_request();
}

asio::awaitable<void> answer_once(peer_connection& connection, std::string answer, bool closes) {
  co_await connection.read_request();
  co_await connection.send(std::move(answer));
  if (!closes)
    co_await wait_for_the_end(connection);
}

/// Answers the first request of each connection with these bytes, and closes behind them or waits.
scripted_peer::script answers(std::string bytes, bool closes = true) {
  return [bytes = std::move(bytes), closes](peer_connection& connection) {
    return answer_once(connection, bytes, closes);
  };
}

class HttpClient : public testing::Test {
protected:
  outcome send(client& over, client_request request = {}) {
    if (request.target.empty())
      request.target = "/";
    return test::run(loop_, over.exchange(std::move(request)));
  }

  /// What comes of a GET at a peer that plays `play`.
  outcome get_from(scripted_peer::script play, client_options options = {}, client_request request = {}) {
    scripted_peer peer{loop_, std::move(play)};
    options.origin = peer.origin();
    client http{loop_.get_executor(), std::move(options)};
    auto answer = send(http, std::move(request));
    connections_left_ = http.connections();
    return answer;
  }

  struct pending {
    std::optional<outcome> result;
  };

  std::shared_ptr<pending> start(client& over, client_request request) {
    auto running = std::make_shared<pending>();
    asio::co_spawn(loop_, over.exchange(std::move(request)),
                   [running](std::exception_ptr bug, outcome result) {
                     EXPECT_FALSE(bug);
                     running->result = std::move(result);
                   });
    return running;
  }

  bool eventually(const std::function<bool()>& holds) { return test::run_until(loop_, holds); }

  asio::io_context loop_{1};
  std::size_t connections_left_ = 0;
};

TEST_F(HttpClient, ReusesItsConnection) {
  scripted_peer peer{loop_, answer_always};
  client http{loop_.get_executor(), {.origin = peer.origin()}};
  for (int i = 0; i < 3; ++i) {
    const auto answer = send(http);
    ASSERT_TRUE(answer) << answer.error().detail;
    EXPECT_EQ(answer->status, 200U);
    EXPECT_EQ(answer->body, "hello");
  }
  EXPECT_EQ(peer.accepted(), 1U);
  EXPECT_EQ(http.connections(), 1U);
}

TEST_F(HttpClient, SendsExactlyThis) {
  std::vector<std::string> seen;
  scripted_peer peer{loop_, [&](peer_connection& connection) -> asio::awaitable<void> {
                       return [](std::vector<std::string>& requests,
                                 peer_connection& from) -> asio::awaitable<void> {
                         for (;;) {
                           auto request = co_await from.read_request();
                           if (request.empty())
                             co_return;
                           requests.push_back(std::move(request));
                           co_await from.send(hello);
                         }
                       }(seen, connection);
                     }};
  client http{loop_.get_executor(), {.origin = peer.origin() + "/api/v1"}};
  client_request post{.method = verb::post, .target = "/a?b=c", .body = "{}"};
  post.headers.set(field::authorization, "Bearer t");
  post.headers.set(field::host, "elsewhere");
  post.headers.set(field::content_length, "99");
  ASSERT_TRUE(send(http, post));
  ASSERT_TRUE(send(http, {.method = verb::post, .target = "/empty"}));
  ASSERT_TRUE(send(http, {.method = verb::delete_, .target = "/x"}));
  const auto host = "Host: 127.0.0.1:" + std::to_string(peer.endpoint().port()) + "\r\n";
  EXPECT_THAT(seen, testing::ElementsAre("POST /a?b=c HTTP/1.1\r\n" + host +
                                           "Authorization: Bearer t\r\nContent-Length: 2\r\n\r\n{}",
                                         "POST /empty HTTP/1.1\r\n" + host + "Content-Length: 0\r\n\r\n",
                                         "DELETE /x HTTP/1.1\r\n" + host + "\r\n"));
}

TEST_F(HttpClient, SendsNothingThatBreaksItsFraming) {
  scripted_peer peer{loop_, answer_always};
  client http{loop_.get_executor(), {.origin = peer.origin()}};
  client_request with_header{.target = "/"};
  with_header.headers.set("X-Name", "a\r\nX-Evil: b");
  for (const auto& request :
       {with_header, client_request{.target = "/ HTTP/1.1\r\nX-Evil: b"}, client_request{.target = "/a b"}}) {
    const auto answer = send(http, request);
    ASSERT_TRUE(answer.has_error());
    EXPECT_EQ(answer.error().what, kind::not_sent);
  }
  EXPECT_EQ(peer.accepted(), 0U);
}

TEST_F(HttpClient, RefusesAnOriginThatIsNone) {
  for (const auto* const bad : {"", "localhost", "ftp://a", "http://", "http://a:b", "http://a:0",
                                "http://a:65536", "http://user@a", "http://[::1", "http://a b"})
    EXPECT_THROW(client(loop_.get_executor(), {.origin = bad}), std::invalid_argument) << bad;
  EXPECT_NO_THROW(client(loop_.get_executor(), {.origin = "https://[::1]:8443/path"}));
}

TEST_F(HttpClient, SkipsInterimAnswers) {
  const auto answer = get_from(answers(
    "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n" + std::string{hello}));
  ASSERT_TRUE(answer);
  EXPECT_EQ(answer->status, 200U);
  EXPECT_EQ(answer->body, "hello");
  EXPECT_EQ(answer->headers.count(field::link), 0U);
}

TEST_F(HttpClient, ReadsABodyInChunks) {
  const auto answer = get_from(answers(
    "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nhel\r\n2;x=y\r\nlo\r\n0\r\n\r\n", false));
  ASSERT_TRUE(answer);
  EXPECT_EQ(answer->body, "hello");
  EXPECT_EQ(connections_left_, 1U);
}

TEST_F(HttpClient, ReadsAnAnswerThatComesByteByByte) {
  const std::string bytes = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n";
  scripted_peer peer{loop_, [&](peer_connection& connection) {
                       return [](peer_connection& to, const std::string& all) -> asio::awaitable<void> {
                         co_await to.read_request();
                         // A turn of the loop between two bytes lets the client read them one by one.
                         for (const char c : all) {
                           co_await to.send(std::string(1, c));
                           asio::steady_timer turn{co_await asio::this_coro::executor, 1ms};
                           co_await turn.async_wait(tuple);
                         }
                       }(connection, bytes);
                     }};
  client http{loop_.get_executor(), {.origin = peer.origin()}};
  const auto answer = send(http);
  ASSERT_TRUE(answer) << answer.error().detail;
  EXPECT_EQ(answer->body, "");
}

TEST_F(HttpClient, ReadsABodyThatEndsWithTheConnection) {
  const auto answer = get_from(answers("HTTP/1.1 200 OK\r\n\r\nhello"));
  ASSERT_TRUE(answer);
  EXPECT_EQ(answer->body, "hello");
  EXPECT_EQ(connections_left_, 0U);
}

TEST_F(HttpClient, KnowsAnswersWithoutABody) {
  for (const auto* const head :
       {"HTTP/1.1 204 No Content\r\n\r\n", "HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"}) {
    const auto answer = get_from(answers(head, false), {}, {.timeout = 5s});
    ASSERT_TRUE(answer) << head;
    EXPECT_EQ(answer->body, "");
    EXPECT_EQ(connections_left_, 1U) << head;
  }
  const auto answer = get_from(answers("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n", false), {},
                               {.method = verb::head, .timeout = 5s});
  ASSERT_TRUE(answer);
  EXPECT_EQ(connections_left_, 1U);
}

TEST_F(HttpClient, FollowsNoRedirect) {
  const auto answer = get_from(answers("HTTP/1.1 302 Found\r\nLocation: /b\r\nContent-Length: 0\r\n\r\n"));
  ASSERT_TRUE(answer);
  EXPECT_EQ(answer->status, 302U);
  EXPECT_EQ(answer->headers[field::location], "/b");
}

TEST_F(HttpClient, KeepsNoConnectionThatIsToClose) {
  for (const auto* const bytes : {"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 5\r\n\r\nhello",
                                  "HTTP/1.0 200 OK\r\nContent-Length: 5\r\n\r\nhello",
                                  "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhelloHTTP/1.1 200 OK\r\n"}) {
    const auto answer = get_from(answers(bytes, false));
    ASSERT_TRUE(answer) << bytes;
    EXPECT_EQ(answer->body, "hello");
    EXPECT_EQ(connections_left_, 0U) << bytes;
  }
}

struct failure_case {
  const char* name;
  std::string bytes;
  bool closes;
  kind what;
};

class HttpClientFailure : public HttpClient, public testing::WithParamInterface<failure_case> {};

TEST_P(HttpClientFailure, IsToldApart) {
  const auto answer = get_from(answers(GetParam().bytes, GetParam().closes), {.max_response_bytes = 100},
                               {.timeout = GetParam().what == kind::timed_out ? 50ms : 10'000ms});
  ASSERT_TRUE(answer.has_error());
  EXPECT_EQ(answer.error().what, GetParam().what) << answer.error().detail;
  EXPECT_FALSE(answer.error().detail.empty());
  EXPECT_EQ(connections_left_, 0U);
}

INSTANTIATE_TEST_SUITE_P(
  Answers,
  HttpClientFailure,
  testing::Values(
    failure_case{"none_and_closed", "", true, kind::lost},
    failure_case{"header_cut", "HTTP/1.1 200 OK\r\nContent-Le", true, kind::lost},
    failure_case{"body_cut", "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhel", true, kind::lost},
    failure_case{"chunk_cut", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhel", true,
                 kind::lost},
    failure_case{"last_chunk_missing", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n",
                 true, kind::lost},
    failure_case{"only_interim", "HTTP/1.1 100 Continue\r\n\r\n", true, kind::lost},
    failure_case{"none_in_time", "", false, kind::timed_out},
    failure_case{"header_stalls", "HTTP/1.1 200 OK\r\n", false, kind::timed_out},
    failure_case{"body_stalls", "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhel", false, kind::timed_out},
    failure_case{"endless_body", "HTTP/1.1 200 OK\r\n\r\nhel", false, kind::timed_out},
    failure_case{"no_http", "220 mail.example ESMTP\r\n", false, kind::unreadable},
    failure_case{"html", "<html><body>", true, kind::unreadable},
    failure_case{"two_lengths", "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello",
                 false, kind::unreadable},
    failure_case{"bad_chunk", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\n", false,
                 kind::unreadable},
    failure_case{"unknown_coding", "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\nhello", true,
                 kind::unreadable},
    failure_case{"too_large", "HTTP/1.1 200 OK\r\nContent-Length: 101\r\n\r\n", false, kind::unreadable},
    failure_case{"too_large_in_chunks", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n65\r\n", false,
                 kind::unreadable},
    failure_case{"too_large_until_the_end", "HTTP/1.1 200 OK\r\n\r\n" + std::string(101, 'x'), false,
                 kind::unreadable},
    failure_case{"header_too_large", "HTTP/1.1 200 OK\r\nX: " + std::string(70'000, 'x'), false,
                 kind::unreadable},
    failure_case{"switches_protocols", "HTTP/1.1 101 Switching Protocols\r\n\r\n", false, kind::unreadable},
    failure_case{"interim_for_ever",
                 [] {
                   std::string bytes;
                   for (int i = 0; i < 20; ++i)
                     bytes += "HTTP/1.1 100 Continue\r\n\r\n";
                   return bytes;
                 }(),
                 false, kind::unreadable}),
  [](const auto& test) { return std::string{test.param.name}; });

TEST_F(HttpClient, AResetIsALostAnswer) {
  const auto answer = get_from([](peer_connection& connection) -> asio::awaitable<void> {
    co_await connection.read_request();
    connection.reset();
  });
  ASSERT_TRUE(answer.has_error());
  EXPECT_EQ(answer.error().what, kind::lost);
}

TEST_F(HttpClient, ARefusedConnectionSendsNothing) {
  asio::ip::tcp::acceptor closed{loop_, {asio::ip::address_v4::loopback(), 0}};
  const auto port = closed.local_endpoint().port();
  closed.close();
  client http{loop_.get_executor(), {.origin = "http://127.0.0.1:" + std::to_string(port)}};
  const auto answer = send(http);
  ASSERT_TRUE(answer.has_error());
  EXPECT_EQ(answer.error().what, kind::not_sent);
  EXPECT_EQ(http.connections(), 0U);
}

TEST_F(HttpClient, AnUnknownHostSendsNothing) {
  client http{loop_.get_executor(), {.origin = "http://nowhere.invalid"}};
  const auto answer = send(http);
  ASSERT_TRUE(answer.has_error());
  EXPECT_EQ(answer.error().what, kind::not_sent);
  EXPECT_THAT(answer.error().detail, testing::HasSubstr("nowhere.invalid"));
}

TEST_F(HttpClient, ATlsHandshakeThatStallsSendsNothing) {
  scripted_peer peer{loop_, wait_for_the_end};
  client http{loop_.get_executor(), {.origin = "https" + peer.origin().substr(4), .connect_timeout = 50ms}};
  const auto answer = send(http);
  ASSERT_TRUE(answer.has_error());
  EXPECT_EQ(answer.error().what, kind::not_sent);
  EXPECT_THAT(answer.error().detail, testing::HasSubstr("took too long"));
}

TEST_F(HttpClient, APeerThatStopsReadingTimesOut) {
  const auto answer = get_from(
    [](peer_connection&) -> asio::awaitable<void> {
      asio::steady_timer timer{co_await asio::this_coro::executor, 30s};
      co_await timer.async_wait(tuple);
    },
    {}, {.method = verb::post, .body = std::string(32 * 1024 * 1024, 'x'), .timeout = 100ms});
  ASSERT_TRUE(answer.has_error());
  EXPECT_EQ(answer.error().what, kind::timed_out);
}

TEST_F(HttpClient, HearsAnAnswerThatComesBeforeTheRequestIsRead) {
  const auto answer = get_from(
    [](peer_connection& connection) -> asio::awaitable<void> {
      co_await connection.send("HTTP/1.1 413 Payload Too Large\r\nContent-Length: 3\r\n\r\nbig");
      asio::steady_timer timer{co_await asio::this_coro::executor, 20ms};
      co_await timer.async_wait(tuple);
    },
    {}, {.method = verb::post, .body = std::string(32 * 1024 * 1024, 'x')});
  ASSERT_TRUE(answer) << answer.error().detail;
  EXPECT_EQ(answer->status, 413U);
  EXPECT_EQ(connections_left_, 0U);
}

TEST_F(HttpClient, ReplacesAnIdleConnectionThatThePeerClosed) {
  for (const bool by_reset : {false, true}) {
    bool is_first_over = false;
    scripted_peer peer{loop_, [&](peer_connection& connection) {
                         return
                           [](peer_connection& from, bool resets, bool& is_over) -> asio::awaitable<void> {
                             co_await from.read_request();
                             co_await from.send(hello);
                             if (from.number() > 0)
                               co_return co_await wait_for_the_end(from);
                             if (resets)
                               from.reset();
                             else
                               from.close();
                             is_over = true;
                           }(connection, by_reset, is_first_over);
                       }};
    client http{loop_.get_executor(), {.origin = peer.origin()}};
    ASSERT_TRUE(send(http));
    ASSERT_TRUE(eventually([&] { return is_first_over; }));
    const auto second = send(http);
    ASSERT_TRUE(second) << second.error().detail;
    EXPECT_EQ(peer.accepted(), 2U);
    EXPECT_EQ(http.connections(), 1U);
  }
}

TEST_F(HttpClient, ARequestOnAReusedConnectionThatDiesIsLostAndNotRepeated) {
  std::size_t requests = 0;
  scripted_peer peer{loop_, [&](peer_connection& connection) {
                       return [](peer_connection& from, std::size_t& seen) -> asio::awaitable<void> {
                         co_await from.read_request();
                         ++seen;
                         co_await from.send(hello);
                         co_await from.read_request();
                         ++seen;
                       }(connection, requests);
                     }};
  client http{loop_.get_executor(), {.origin = peer.origin()}};
  ASSERT_TRUE(send(http));
  const auto second = send(http);
  ASSERT_TRUE(second.has_error());
  EXPECT_EQ(second.error().what, kind::lost);
  EXPECT_EQ(requests, 2U);
  EXPECT_EQ(peer.accepted(), 1U);
}

TEST_F(HttpClient, TakesAFreshConnectionWhenAsked) {
  scripted_peer peer{loop_, answer_always};
  client http{loop_.get_executor(), {.origin = peer.origin(), .max_connections = 2}};
  ASSERT_TRUE(send(http));
  ASSERT_TRUE(send(http, {.freshness = 10s}));
  EXPECT_EQ(peer.accepted(), 1U);
  ASSERT_TRUE(send(http, {.freshness = 0ms}));
  EXPECT_EQ(peer.accepted(), 2U);
  // Both places are taken by idle connections: one has to go.
  ASSERT_TRUE(send(http, {.freshness = 0ms}));
  EXPECT_EQ(peer.accepted(), 3U);
  EXPECT_EQ(http.connections(), 2U);
}

TEST_F(HttpClient, ClosesWhatIsIdleForTooLong) {
  scripted_peer peer{loop_, answer_always};
  client http{loop_.get_executor(), {.origin = peer.origin(), .max_idle = 50ms}};
  ASSERT_TRUE(send(http));
  EXPECT_EQ(http.connections(), 1U);
  EXPECT_TRUE(eventually([&] { return http.connections() == 0; }));
}

TEST_F(HttpClient, NoticesThatAnIdleConnectionWasClosed) {
  scripted_peer peer{loop_, answers(hello)};
  client http{loop_.get_executor(), {.origin = peer.origin(), .max_idle = 20s}};
  const auto begin = std::chrono::steady_clock::now();
  ASSERT_TRUE(send(http));
  EXPECT_TRUE(eventually([&] { return http.connections() == 0; }));
  EXPECT_LT(std::chrono::steady_clock::now() - begin, 15s);
}

TEST_F(HttpClient, KeepsOnlySoManyIdle) {
  scripted_peer peer{loop_, answer_always};
  client http{loop_.get_executor(), {.origin = peer.origin(), .max_idle_connections = 2}};
  std::vector<std::shared_ptr<pending>> all;
  for (int i = 0; i < 5; ++i)
    all.push_back(start(http, {.target = "/"}));
  ASSERT_TRUE(eventually(
    [&] { return std::ranges::all_of(all, [](const auto& one) { return one->result.has_value(); }); }));
  EXPECT_EQ(peer.accepted(), 5U);
  EXPECT_EQ(http.connections(), 2U);
}

TEST_F(HttpClient, HoldsItsNumberOfConnections) {
  scripted_peer peer{loop_, answer_always};
  client http{loop_.get_executor(), {.origin = peer.origin(), .max_connections = 3}};
  std::vector<std::shared_ptr<pending>> all;
  for (int i = 0; i < 50; ++i)
    all.push_back(start(http, {.target = "/"}));
  std::size_t most = 0;
  ASSERT_TRUE(eventually([&] {
    most = std::max(most, http.connections());
    return std::ranges::all_of(all, [](const auto& one) { return one->result.has_value(); });
  }));
  EXPECT_TRUE(std::ranges::all_of(all, [](const auto& one) { return one->result->has_value(); }));
  EXPECT_LE(most, 3U);
  EXPECT_LE(peer.accepted(), 3U);
}

TEST_F(HttpClient, WaitsForAConnectionOnlyItsTime) {
  scripted_peer peer{loop_, wait_for_the_end};
  client http{loop_.get_executor(), {.origin = peer.origin(), .max_connections = 1}};
  const auto first = start(http, {.target = "/", .timeout = 500ms});
  const auto second = start(http, {.target = "/", .timeout = 20ms});
  const auto third = start(http, {.target = "/", .timeout = 1'000ms});
  ASSERT_TRUE(eventually([&] { return second->result.has_value(); }));
  EXPECT_EQ(second->result->error().what, kind::not_sent);
  EXPECT_FALSE(first->result);
  ASSERT_TRUE(eventually([&] { return third->result.has_value(); }));
  EXPECT_EQ(first->result->error().what, kind::timed_out);
  EXPECT_EQ(third->result->error().what, kind::timed_out);
  EXPECT_EQ(peer.accepted(), 2U);
}

TEST_F(HttpClient, CloseEndsWhatIsUnderWay) {
  scripted_peer peer{loop_, wait_for_the_end};
  client http{loop_.get_executor(), {.origin = peer.origin(), .max_connections = 1}};
  const auto sent = start(http, {.target = "/"});
  const auto waiting = start(http, {.target = "/"});
  ASSERT_TRUE(eventually([&] { return peer.accepted() == 1; }));
  http.close();
  ASSERT_TRUE(eventually([&] { return sent->result && waiting->result; }));
  EXPECT_EQ(sent->result->error().what, kind::lost);
  EXPECT_EQ(waiting->result->error().what, kind::not_sent);
  EXPECT_EQ(send(http).error().what, kind::not_sent);
  EXPECT_EQ(http.connections(), 0U);
}

TEST_F(HttpClient, AnExchangeMayOutliveItsClient) {
  scripted_peer peer{loop_, wait_for_the_end};
  std::optional<client> http{std::in_place, loop_.get_executor(), client_options{.origin = peer.origin()}};
  const auto sent = start(*http, {.target = "/"});
  ASSERT_TRUE(eventually([&] { return peer.accepted() == 1; }));
  http.reset();
  ASSERT_TRUE(eventually([&] { return sent->result.has_value(); }));
  EXPECT_EQ(sent->result->error().what, kind::lost);
}

TEST_F(HttpClient, ALoopMayEndBeforeItsExchange) {
  std::shared_ptr<pending> sent;
  {
    asio::io_context loop{1};
    scripted_peer peer{loop, wait_for_the_end};
    client http{loop.get_executor(), {.origin = peer.origin(), .max_connections = 1}};
    sent = std::make_shared<pending>();
    for (int i = 0; i < 3; ++i)
      asio::co_spawn(loop, http.exchange({.target = "/"}),
                     [sent](std::exception_ptr, outcome result) { sent->result = std::move(result); });
    ASSERT_TRUE(test::run_until(loop, [&] { return peer.accepted() == 1; }));
  }
  EXPECT_FALSE(sent->result);
}

asio::awaitable<response> secure_hello(const request& req) {
  response answer;
  answer.body = "hello " + std::string{req.headers[field::host]};
  co_return answer;
}

class HttpClientWithTls : public HttpClient {
protected:
  HttpClientWithTls()
      : server_(
          loop_.get_executor(),
          {.tls_certificate = certificate_.certificate_file(), .tls_key = certificate_.key_file()},
          [](const request& req) { return secure_hello(req); },
          [](const error&, const std::string&) { return response{}; }) {
    port_ = std::to_string(server_.listen("127.0.0.1", 0).value().port());
  }

  test::certificate certificate_{"DNS:localhost"};
  server server_;
  std::string port_;
};

TEST_F(HttpClientWithTls, TrustsTheGivenAuthority) {
  client http{loop_.get_executor(),
              {.origin = "https://localhost:" + port_, .ca_file = certificate_.certificate_file()}};
  for (int i = 0; i < 3; ++i) {
    const auto answer = send(http);
    ASSERT_TRUE(answer) << answer.error().detail;
    EXPECT_EQ(answer->body, "hello localhost:" + port_);
  }
  // Session tickets of TLS 1.3 that come behind the handshake do not make a connection look used up.
  EXPECT_EQ(server_.counters().connections, 1U);
  EXPECT_EQ(http.connections(), 1U);
}

TEST_F(HttpClientWithTls, SendsNothingToWhomItDoesNotTrust) {
  client http{loop_.get_executor(), {.origin = "https://localhost:" + port_}};
  const auto answer = send(http);
  ASSERT_TRUE(answer.has_error());
  EXPECT_EQ(answer.error().what, kind::not_sent);
  EXPECT_THAT(answer.error().detail, testing::HasSubstr("certificate"));
}

TEST_F(HttpClientWithTls, SendsNothingToAnotherName) {
  client http{loop_.get_executor(),
              {.origin = "https://127.0.0.1:" + port_, .ca_file = certificate_.certificate_file()}};
  const auto answer = send(http);
  ASSERT_TRUE(answer.has_error());
  EXPECT_EQ(answer.error().what, kind::not_sent);
}

TEST_F(HttpClientWithTls, TrustsAnybodyWhenToldSo) {
  client http{loop_.get_executor(), {.origin = "https://127.0.0.1:" + port_, .verify_tls = false}};
  EXPECT_TRUE(send(http));
}

TEST_F(HttpClientWithTls, ReplacesAnIdleConnectionThatThePeerClosed) {
  client http{loop_.get_executor(), {.origin = "https://127.0.0.1:" + port_, .verify_tls = false}};
  ASSERT_TRUE(send(http));
  test::run(loop_, server_.stop(1s));
  server again{loop_.get_executor(),
               {.tls_certificate = certificate_.certificate_file(), .tls_key = certificate_.key_file()},
               [](const request& req) { return secure_hello(req); },
               [](const error&, const std::string&) { return response{}; }};
  ASSERT_TRUE(again.listen("127.0.0.1", static_cast<std::uint16_t>(std::stoul(port_))));
  const auto answer = send(http);
  EXPECT_TRUE(answer) << answer.error().detail;
}

} // namespace
} // namespace skyengine::net::http
