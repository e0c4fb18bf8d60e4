#include "net/http/server.hpp"
#include "tests/support/certificate.hpp"
#include "tests/support/http.hpp"

#include <boost/asio/ssl.hpp>
#include <boost/asio/steady_timer.hpp>
#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <string>

namespace skyengine::net::http {
namespace {

using namespace std::chrono_literals;
using namespace std::string_literals;
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

  /// Sends the bytes on a connection of their own: the answer, after which the server must have closed.
  std::optional<test::http_answer> last_answer_to(std::string bytes) {
    auto client = connect();
    client.send(std::move(bytes));
    auto answer = client.answer();
    EXPECT_TRUE(client.wait_closed());
    EXPECT_EQ(client.received(), "");
    return answer;
  }

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

TEST_F(HttpServer, AnswersPipelinedRequestsInOrder) {
  listen();
  auto client = connect();
  client.send("GET /slow HTTP/1.1\r\nHost: a\r\n\r\n"
              "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\none"
              "POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\ntwo\r\n0\r\n\r\n"
              "GET /echo?three HTTP/1.1\r\nHost: a\r\n\r\n");
  for (const auto* const expected : {"hello", "POST /echo [one]", "POST /echo [two]", "GET /echo?three []"}) {
    const auto answer = client.answer();
    ASSERT_TRUE(answer);
    EXPECT_EQ(answer->body, expected);
  }
}

TEST_F(HttpServer, ReadsARequestThatComesByteByByte) {
  listen();
  auto client = connect();
  const std::string bytes = "\r\nPOST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
                            "2;name=\"va;lue\"\r\nab\r\n00A\r\n0123456789\r\n0\r\nTrailer: x\r\n\r\n";
  for (const char c : bytes)
    client.send(std::string(1, c));
  const auto answer = client.answer();
  ASSERT_TRUE(answer);
  EXPECT_EQ(answer->body, "POST /echo [ab0123456789]");
}

TEST_F(HttpServer, TrailersAreNotHeaders) {
  std::string seen = "not called";
  listen({}, [&](const request& req) -> asio::awaitable<response> {
    seen = req.headers["X-Operator"];
    return handle(req);
  });
  auto client = connect();
  client.send("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nX-Operator: yes\r\n\r\n");
  ASSERT_TRUE(client.answer());
  EXPECT_EQ(seen, "");
}

TEST_F(HttpServer, TakesAbsoluteTargetsAndTheAsterisk) {
  listen();
  EXPECT_EQ(test::ask(loop_, endpoint_, "GET", "http://host:1/echo?a")->body, "GET /echo?a []");
  EXPECT_EQ(test::ask(loop_, endpoint_, "GET", "HTTPS://host/echo")->body, "GET /echo []");
  EXPECT_EQ(test::ask(loop_, endpoint_, "GET", "http://host")->body, "hello");
  EXPECT_EQ(test::ask(loop_, endpoint_, "OPTIONS", "*")->body, "hello");
}

TEST_F(HttpServer, LeavesMethodsToItsHandler) {
  std::vector<std::string> seen;
  listen({}, [&](const request& req) -> asio::awaitable<response> {
    seen.push_back(req.method_text);
    return handle(req);
  });
  for (const auto* const method : {"CONNECT", "TRACE", "BREW"})
    EXPECT_TRUE(test::ask(loop_, endpoint_, method, "/")) << method;
  EXPECT_EQ(test::ask(loop_, endpoint_, "GET", "/", {}, "Connection: upgrade\r\nUpgrade: h2c\r\n")->status,
            200U);
  EXPECT_EQ(seen, (std::vector<std::string>{"CONNECT", "TRACE", "BREW", "GET"}));
}

TEST_F(HttpServer, SuppressesTheBodyOfHead) {
  listen();
  auto client = connect();
  client.send("HEAD / HTTP/1.1\r\nHost: a\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n");
  const auto head = client.answer(true);
  ASSERT_TRUE(head);
  EXPECT_EQ(head->header("Content-Length"), "5");
  const auto whole = client.answer();
  ASSERT_TRUE(whole);
  EXPECT_EQ(whole->body, "hello");
}

TEST_F(HttpServer, NoContentHasNoLength) {
  listen();
  const auto answer = test::ask(loop_, endpoint_, "GET", "/empty");
  ASSERT_TRUE(answer);
  EXPECT_EQ(answer->status, 204U);
  EXPECT_EQ(answer->header("Content-Length"), "");
}

TEST_F(HttpServer, ServesHttp10) {
  listen();
  const auto once = last_answer_to("GET /echo HTTP/1.0\r\n\r\n");
  ASSERT_TRUE(once);
  EXPECT_EQ(once->body, "GET /echo []");
  auto client = connect();
  client.send("GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n");
  const auto first = client.answer();
  ASSERT_TRUE(first);
  EXPECT_EQ(first->header("Connection"), "keep-alive");
  client.send("GET / HTTP/1.0\r\n\r\n");
  EXPECT_TRUE(client.answer());
  EXPECT_TRUE(client.wait_closed());
}

TEST_F(HttpServer, ClosesWhenAsked) {
  listen();
  const auto answer = last_answer_to("GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
  ASSERT_TRUE(answer);
  EXPECT_EQ(answer->header("Connection"), "close");
}

TEST_F(HttpServer, SaysContinueToWhoWaitsForIt) {
  listen();
  auto client = connect();
  client.send("POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\nExpect: 100-continue\r\n\r\n");
  ASSERT_TRUE(client.wait_for("HTTP/1.1 100 Continue\r\n\r\n"));
  client.received().clear();
  client.send("body");
  const auto answer = client.answer();
  ASSERT_TRUE(answer);
  EXPECT_EQ(answer->body, "POST /echo [body]");
}

TEST_F(HttpServer, RefusesATooLargeBodyInsteadOfSayingContinue) {
  listen({.max_body_bytes = 10});
  const auto answer =
    last_answer_to("POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 11\r\nExpect: 100-continue\r\n\r\n");
  ASSERT_TRUE(answer);
  EXPECT_EQ(answer->status, 413U);
}

TEST_F(HttpServer, DeliversALargeAnswerWhole) {
  listen();
  const auto answer = test::ask(loop_, endpoint_, "GET", "/large");
  ASSERT_TRUE(answer);
  EXPECT_EQ(answer->body.size(), 8U * 1024 * 1024);
}

TEST_F(HttpServer, AnswersForAHandlerThatThrows) {
  listen();
  auto client = connect();
  client.send("GET /throw HTTP/1.1\r\nHost: a\r\nX-Request-Id: r1\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n");
  const auto failed = client.answer();
  ASSERT_TRUE(failed);
  EXPECT_EQ(failed->status, 500U);
  EXPECT_EQ(failed->body, "an unexpected failure (r1)");
  const auto next = client.answer();
  ASSERT_TRUE(next);
  EXPECT_EQ(next->status, 200U);
  EXPECT_EQ(server_->counters().requests_in_flight, 0U);
}

TEST_F(HttpServer, NoHeaderOfAnAnswerCanEndItsLine) {
  listen({}, [](const request&) -> asio::awaitable<response> {
    response answer;
    answer.headers.set("X-Name", "a\r\nSet-Cookie: evil=1");
    answer.headers.set("X-Request-Id", "not the handler's");
    answer.headers.set(field::content_length, "99");
    answer.headers.set(field::connection, "upgrade");
    co_return answer;
  });
  const auto answer = test::ask(loop_, endpoint_, "GET", "/", {}, "X-Request-Id: mine\r\n");
  ASSERT_TRUE(answer);
  EXPECT_EQ(answer->header("X-Name"), "a  Set-Cookie: evil=1");
  EXPECT_EQ(answer->header("Set-Cookie"), "");
  EXPECT_EQ(answer->header("X-Request-Id"), "mine");
  EXPECT_EQ(answer->header("Content-Length"), "0");
}

TEST_F(HttpServer, TellsTheHandlerWhoAsksAndUntilWhen) {
  request seen;
  listen({.request_timeout = 5s}, [&](const request& req) -> asio::awaitable<response> {
    seen.remote_address = req.remote_address;
    seen.request_id = req.request_id;
    seen.deadline = req.deadline;
    seen.target = req.target;
    return handle(req);
  });
  const auto before = std::chrono::steady_clock::now();
  const auto answer = test::ask(loop_, endpoint_, "GET", "/a?b=c?d");
  ASSERT_TRUE(answer);
  EXPECT_EQ(seen.remote_address, "127.0.0.1");
  EXPECT_EQ(answer->header("X-Request-Id"), seen.request_id);
  EXPECT_GE(seen.deadline, before + 5s);
  EXPECT_LE(seen.deadline, std::chrono::steady_clock::now() + 5s);
  EXPECT_EQ(seen.path(), "/a");
  EXPECT_EQ(seen.query(), "b=c?d");
}

struct request_id_case {
  const char* name;
  std::string sent;
  bool is_kept;
};

class RequestId : public HttpServer, public testing::WithParamInterface<request_id_case> {};

TEST_P(RequestId, IsKeptWhenSane) {
  listen();
  const auto line = GetParam().sent.empty() ? std::string{} : "X-Request-Id: " + GetParam().sent + "\r\n";
  for (const auto* const target : {"/", "no-path"}) {
    const auto answer = test::ask(loop_, endpoint_, "GET", target, {}, line);
    ASSERT_TRUE(answer);
    const auto id = answer->header("X-Request-Id");
    // A target that is refused is refused before the header behind it is read.
    if (GetParam().is_kept && answer->status == 200) {
      EXPECT_EQ(id, GetParam().sent);
    } else {
      EXPECT_EQ(id.size(), 16U);
      EXPECT_TRUE(std::ranges::all_of(
        id, [](char c) { return std::string_view{"0123456789abcdef"}.find(c) != std::string_view::npos; }));
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Headers,
                         RequestId,
                         testing::Values(request_id_case{"none", "", false},
                                         request_id_case{"one_letter", "a", true},
                                         request_id_case{"all_that_is_allowed", "AZaz09._-", true},
                                         request_id_case{"longest", std::string(128, 'x'), true},
                                         request_id_case{"too_long", std::string(129, 'x'), false},
                                         request_id_case{"space", "a b", false},
                                         request_id_case{"markup", "<b>", false},
                                         request_id_case{"no_ascii", "\xc3\xa4", false}),
                         [](const auto& test) { return std::string{test.param.name}; });

struct framing_case {
  const char* name;
  std::string bytes;
  unsigned status;
};

class Framing : public HttpServer, public testing::WithParamInterface<framing_case> {};

TEST_P(Framing, IsRefusedAndTheConnectionCloses) {
  bool is_handled = false;
  listen({.max_header_bytes = 1024, .max_body_bytes = 1000}, [&](const request& req) {
    is_handled = true;
    return handle(req);
  });
  // What follows must not be taken for a request of its own.
  const auto answer = last_answer_to(GetParam().bytes + "GET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n");
  ASSERT_TRUE(answer);
  EXPECT_EQ(answer->status, GetParam().status);
  EXPECT_EQ(answer->header("Connection"), "close");
  EXPECT_FALSE(answer->header("X-Request-Id").empty());
  EXPECT_FALSE(is_handled);
}

std::string post(const std::string& header_lines, const std::string& body) {
  return "POST /echo HTTP/1.1\r\nHost: a\r\n" + header_lines + "\r\n" + body;
}

const std::string chunked = "Transfer-Encoding: chunked\r\n";

INSTANTIATE_TEST_SUITE_P(
  Malformed,
  Framing,
  testing::Values(
    framing_case{"two_lengths", post("Content-Length: 3\r\nContent-Length: 4\r\n", "abcd"), 400},
    framing_case{"the_same_length_twice", post("Content-Length: 3\r\nContent-Length: 3\r\n", "abc"), 400},
    framing_case{"list_of_lengths", post("Content-Length: 3, 3\r\n", "abc"), 400},
    framing_case{"signed_length", post("Content-Length: +3\r\n", "abc"), 400},
    framing_case{"negative_length", post("Content-Length: -3\r\n", "abc"), 400},
    framing_case{"hexadecimal_length", post("Content-Length: 0x3\r\n", "abc"), 400},
    framing_case{"empty_length", post("Content-Length:\r\n", "abc"), 400},
    framing_case{"length_beyond_64_bits", post("Content-Length: 99999999999999999999\r\n", "abc"), 400},
    framing_case{"length_and_coding", post("Content-Length: 5\r\n" + chunked, "0\r\n\r\n"), 400},
    framing_case{"coding_and_length", post(chunked + "Content-Length: 5\r\n", "0\r\n\r\n"), 400},
    framing_case{"chunked_twice", post(chunked + chunked, "0\r\n\r\n"), 400},
    framing_case{"other_coding", post("Transfer-Encoding: gzip\r\n", ""), 400},
    framing_case{"other_coding_before_chunked", post("Transfer-Encoding: gzip, chunked\r\n", "0\r\n\r\n"),
                 400},
    framing_case{"identity", post("Transfer-Encoding: identity\r\n", ""), 400},
    framing_case{"hidden_coding", post("Transfer-Encoding: xchunked\r\n", ""), 400},
    framing_case{"coding_in_http_1_0", "POST / HTTP/1.0\r\nHost: a\r\n" + chunked + "\r\n0\r\n\r\n", 400},
    framing_case{"absurd_chunk_size", post(chunked, "ffffffffffffffff\r\n"), 400},
    framing_case{"chunk_size_beyond_64_bits", post(chunked, "10000000000000000\r\n"), 400},
    framing_case{"negative_chunk_size", post(chunked, "-1\r\n"), 400},
    framing_case{"chunk_size_of_letters", post(chunked, "xyz\r\n"), 400},
    framing_case{"chunk_size_in_c_notation", post(chunked, "0x3\r\nabc\r\n0\r\n\r\n"), 400},
    framing_case{"chunk_longer_than_its_size", post(chunked, "3\r\nabcd\r\n0\r\n\r\n"), 400},
    framing_case{"chunk_ended_by_bare_lf", post(chunked, "3\nabc\n0\n\n"), 400},
    framing_case{"chunk_extension_with_lf", post(chunked, "3;a\nb\r\nabc\r\n0\r\n\r\n"), 400},
    framing_case{"endless_chunk_extension", post(chunked, "3;" + std::string(2000, 'a')), 400},
    framing_case{"endless_trailer", post(chunked, "0\r\nA: " + std::string(20'000, 'a')), 400},
    framing_case{"length_as_trailer", post(chunked, "0\r\nContent-Length: 5\r\n\r\n"), 400},
    framing_case{"bare_lf_everywhere", "GET / HTTP/1.1\nHost: a\n\n", 400},
    framing_case{"bare_lf_behind_a_header", "GET / HTTP/1.1\r\nHost: a\nX: y\r\n\r\n", 400},
    framing_case{"bare_lf_as_the_end", "GET / HTTP/1.1\r\nHost: a\r\n\n", 400},
    framing_case{"bare_cr_in_a_header", "GET / HTTP/1.1\r\nHost: a\rX: y\r\n\r\n", 400},
    framing_case{"name_with_space", "GET / HTTP/1.1\r\nHost: a\r\nX Y: z\r\n\r\n", 400},
    framing_case{"space_before_colon", "GET / HTTP/1.1\r\nHost : a\r\n\r\n", 400},
    framing_case{"no_colon", "GET / HTTP/1.1\r\nHost: a\r\nX\r\n\r\n", 400},
    framing_case{"no_name", "GET / HTTP/1.1\r\nHost: a\r\n: x\r\n\r\n", 400},
    framing_case{"folded_header", "GET / HTTP/1.1\r\nHost: a\r\nX: y\r\n z\r\n\r\n", 400},
    framing_case{"folded_with_tab", "GET / HTTP/1.1\r\nHost: a\r\nX: y\r\n\tz\r\n\r\n", 400},
    framing_case{"space_before_the_first_header", "GET / HTTP/1.1\r\n Host: a\r\n\r\n", 400},
    framing_case{"nul_in_a_header", "GET / HTTP/1.1\r\nHost: a\r\nX: \0\r\n\r\n"s, 400},
    framing_case{"no_host", "GET / HTTP/1.1\r\n\r\n", 400},
    framing_case{"two_hosts", "GET / HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n", 400},
    framing_case{"host_with_comma", "GET / HTTP/1.1\r\nHost: a, b\r\n\r\n", 400},
    framing_case{"host_with_path", "GET / HTTP/1.1\r\nHost: a/b\r\n\r\n", 400},
    framing_case{"relative_target", "GET echo HTTP/1.1\r\nHost: a\r\n\r\n", 400},
    framing_case{"asterisk_of_get", "GET * HTTP/1.1\r\nHost: a\r\n\r\n", 400},
    framing_case{"no_target", "GET HTTP/1.1\r\nHost: a\r\n\r\n", 400},
    framing_case{"two_spaces", "GET  / HTTP/1.1\r\nHost: a\r\n\r\n", 400},
    framing_case{"control_in_target", "GET /\x01 HTTP/1.1\r\nHost: a\r\n\r\n", 400},
    framing_case{"version_2", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 400},
    framing_case{"version_1_2", "GET / HTTP/1.2\r\nHost: a\r\n\r\n", 400},
    framing_case{"version_0_9", "GET /\r\n\r\n", 400},
    framing_case{"two_empty_lines_first", "\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n", 400},
    framing_case{"tls_on_a_plain_port", "\x16\x03\x01\x00\xf8\x01\x00\x00\xf4\x03\x03"s, 400},
    framing_case{"body_too_large", post("Content-Length: 1001\r\n", ""), 413},
    framing_case{"length_of_64_bits", post("Content-Length: 18446744073709551615\r\n", ""), 413},
    framing_case{"chunk_too_large", post(chunked, "3e9\r\n"), 413},
    framing_case{"chunks_too_large", post(chunked, "1f4\r\n" + std::string(500, 'a') + "\r\n1f5\r\n"), 413},
    framing_case{"header_too_large", "GET / HTTP/1.1\r\nHost: a\r\nX: " + std::string(1024, 'x') + "\r\n\r\n",
                 431},
    framing_case{"target_too_large", "GET /" + std::string(2000, 'x'), 431},
    framing_case{"many_headers",
                 "GET / HTTP/1.1\r\nHost: a\r\n" +
                   [] {
                     std::string lines;
                     for (int i = 0; i < 300; ++i)
                       lines += "A: b\r\n";
                     return lines;
                   }() +
                   "\r\n",
                 431}),
  [](const auto& test) { return std::string{test.param.name}; });

TEST_F(HttpServer, TakesExactlyItsLimits) {
  listen({.max_header_bytes = 200, .max_body_bytes = 1000});
  std::string header = "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 1000\r\nX: ";
  header += std::string(200 - header.size() - 4, 'x') + "\r\n\r\n";
  ASSERT_EQ(header.size(), 200U);
  auto client = connect();
  client.send(header + std::string(1000, 'b'));
  const auto answer = client.answer();
  ASSERT_TRUE(answer);
  EXPECT_EQ(answer->body, "POST /echo [" + std::string(1000, 'b') + "]");
  const auto in_chunks = test::ask(loop_, endpoint_, "GET", "/");
  ASSERT_TRUE(in_chunks);
  EXPECT_EQ(in_chunks->status, 200U);
}

TEST_F(HttpServer, TheAnswerToATooLargeBodyReachesAClientThatIsStillSending) {
  listen({.max_body_bytes = 1000});
  auto client = connect();
  client.send(post("Content-Length: 600000\r\n", std::string(600'000, 'x')));
  const auto answer = client.answer();
  ASSERT_TRUE(answer);
  EXPECT_EQ(answer->status, 413U);
}

TEST_F(HttpServer, ClosesSilentlyWhoSaysNothing) {
  listen({.header_timeout = 50ms});
  auto client = connect();
  EXPECT_TRUE(client.wait_closed());
  EXPECT_EQ(client.received(), "");
  EXPECT_TRUE(eventually([&] { return server_->counters().connections == 0; }));
}

TEST_F(HttpServer, ASlowHeaderTimesOut) {
  listen({.header_timeout = 50ms});
  const auto answer = last_answer_to("GET / HTTP/1.1\r\nHost:");
  ASSERT_TRUE(answer);
  EXPECT_EQ(answer->status, 408U);
  EXPECT_NE(answer->body.find("the header took too long"), std::string::npos);
}

TEST_F(HttpServer, TricklingDoesNotExtendTheHeadersTime) {
  listen({.header_timeout = 100ms});
  auto client = connect();
  client.send("GET / HTTP/1.1\r\nX: ");
  // Each turn of the loop sends another byte, until the server has had enough.
  ASSERT_TRUE(eventually([&] {
    client.send("x");
    return client.is_closed() || client.received().starts_with("HTTP/1.1 408");
  }));
  EXPECT_TRUE(client.received().starts_with("HTTP/1.1 408"));
}

TEST_F(HttpServer, ASlowBodyTimesOut) {
  listen({.body_timeout = 50ms});
  const auto answer = last_answer_to(post("Content-Length: 10\r\n", "abc"));
  ASSERT_TRUE(answer);
  EXPECT_EQ(answer->status, 408U);
  EXPECT_NE(answer->body.find("the body took too long"), std::string::npos);
}

TEST_F(HttpServer, ClosesIdleConnectionsSilently) {
  listen({.idle_timeout = 50ms});
  auto client = connect();
  client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
  ASSERT_TRUE(client.answer());
  EXPECT_TRUE(client.wait_closed());
  EXPECT_EQ(client.received(), "");
}

TEST_F(HttpServer, AHandlerMayTakeLongerThanTheTimeOuts) {
  listen({.header_timeout = 60ms, .body_timeout = 60ms, .idle_timeout = 60ms, .write_timeout = 60ms});
  const auto answer = test::ask(loop_, endpoint_, "GET", "/slow");
  ASSERT_TRUE(answer);
  EXPECT_EQ(answer->status, 200U);
}

TEST_F(HttpServer, ClosesAReaderThatDoesNotRead) {
  listen({.write_timeout = 50ms});
  auto client = connect();
  client.stop_reading();
  client.send("GET /large HTTP/1.1\r\nHost: a\r\n\r\n");
  EXPECT_TRUE(eventually([&] { return server_->counters().connections == 1; }));
  EXPECT_TRUE(eventually([&] { return server_->counters().connections == 0; }));
}

TEST_F(HttpServer, AHalfClosedClientGetsItsAnswer) {
  listen();
  auto client = connect();
  client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
  ASSERT_TRUE(eventually([&] { return server_->counters().connections == 1; }));
  client.shut_down_sending();
  const auto answer = client.answer();
  ASSERT_TRUE(answer);
  EXPECT_EQ(answer->body, "hello");
  EXPECT_TRUE(client.wait_closed());
}

TEST_F(HttpServer, SurvivesAPeerThatLeavesBeforeItsAnswer) {
  listen();
  auto client = connect();
  client.send("GET /slow HTTP/1.1\r\nHost: a\r\n\r\nGET /large HTTP/1.1\r\nHost: a\r\n\r\n");
  ASSERT_TRUE(eventually([&] { return server_->counters().requests_in_flight == 1; }));
  client.reset();
  EXPECT_TRUE(eventually([&] { return server_->counters().connections == 0; }));
  EXPECT_EQ(test::ask(loop_, endpoint_, "GET", "/")->status, 200U);
}

TEST_F(HttpServer, ANewConnectionTakesThePlaceOfASilentOneFirst) {
  listen({.max_connections = 3});
  auto idle = connect();
  idle.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
  ASSERT_TRUE(idle.answer());
  auto older = connect();
  ASSERT_TRUE(eventually([&] { return server_->counters().connections == 2; }));
  auto younger = connect();
  ASSERT_TRUE(eventually([&] { return server_->counters().connections == 3; }));
  EXPECT_EQ(test::ask(loop_, endpoint_, "GET", "/")->status, 200U);
  EXPECT_TRUE(older.wait_closed());
  EXPECT_FALSE(younger.is_closed());
  EXPECT_FALSE(idle.is_closed());
  EXPECT_EQ(server_->counters().evicted_connections, 1U);
  EXPECT_EQ(server_->counters().refused_connections, 0U);
}

TEST_F(HttpServer, ANewConnectionTakesThePlaceOfARequestThatDoesNotComeOn) {
  for (const std::string begun :
       {"GET / HTTP/1.1\r\nHo", "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\nab"}) {
    listen({.max_connections = 2});
    auto older = connect();
    older.send(begun);
    ASSERT_TRUE(eventually([&] { return server_->counters().connections == 1; }));
    auto younger = connect();
    younger.send(begun);
    ASSERT_TRUE(eventually([&] { return server_->counters().connections == 2; }));
    // Both have been read: nothing is waited for by silence.
    test::run_until(loop_, [turns = 0]() mutable { return ++turns > 5; });
    EXPECT_EQ(test::ask(loop_, endpoint_, "GET", "/")->status, 200U);
    EXPECT_TRUE(older.wait_closed());
    EXPECT_FALSE(younger.is_closed());
    EXPECT_EQ(server_->counters().refused_connections, 0U);
  }
}

TEST_F(HttpServer, RefusesANewConnectionWhenAllAreAtWork) {
  listen({.max_connections = 2});
  auto first = connect();
  auto second = connect();
  first.send("GET /slow HTTP/1.1\r\nHost: a\r\n\r\n");
  second.send("GET /slow HTTP/1.1\r\nHost: a\r\n\r\n");
  ASSERT_TRUE(eventually([&] { return server_->counters().requests_in_flight == 2; }));
  const auto refused = last_answer_to("");
  ASSERT_TRUE(refused);
  EXPECT_EQ(refused->status, 503U);
  EXPECT_FALSE(refused->header("X-Request-Id").empty());
  EXPECT_EQ(server_->counters().refused_connections, 1U);
  EXPECT_EQ(first.answer()->status, 200U);
  EXPECT_EQ(second.answer()->status, 200U);
}

TEST_F(HttpServer, OneAddressHoldsOnlySoManyConnections) {
  listen({.max_connections_per_address = 2, .exempts_loopback = false});
  auto first = connect();
  auto second = connect();
  ASSERT_TRUE(eventually([&] { return server_->counters().connections == 2; }));
  EXPECT_EQ(last_answer_to("")->status, 503U);
  EXPECT_EQ(server_->counters().refused_connections, 1U);
  // Another one is not to blame.
  raw_connection other{loop_, endpoint_, asio::ip::make_address("127.0.0.2")};
  other.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
  EXPECT_EQ(other.answer()->status, 200U);
  other.close();
  // One gone, one free.
  first.close();
  ASSERT_TRUE(eventually([&] { return server_->counters().connections == 1; }));
  EXPECT_EQ(test::ask(loop_, endpoint_, "GET", "/")->status, 200U);
}

TEST_F(HttpServer, LoopbackAndATrustedProxyHoldAsManyAsTheyWant) {
  const std::vector<server_options> exempting{
    {.max_connections_per_address = 1},
    {.max_connections_per_address = 1, .exempts_loopback = false, .trusted_proxies = {"127.0.0.1"}}};
  for (const auto& options : exempting) {
    listen(options);
    auto first = connect();
    auto second = connect();
    EXPECT_TRUE(eventually([&] { return server_->counters().connections == 2; }));
    EXPECT_EQ(server_->counters().refused_connections, 0U);
  }
}

TEST_F(HttpServer, WaitsForAFreeDescriptorWithoutSpinning) {
  listen();
  auto established = connect();
  established.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
  ASSERT_TRUE(established.answer());
  established.send("GET /slow HTTP/1.1\r\nHost: a\r\n\r\n");
  ASSERT_TRUE(eventually([&] { return server_->counters().requests_in_flight == 1; }));
  auto waiting = connect();
  waiting.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");

  rlimit before{};
  ASSERT_EQ(getrlimit(RLIMIT_NOFILE, &before), 0);
  const int next_free = open("/dev/null", O_RDONLY | O_CLOEXEC);
  ASSERT_GE(next_free, 0);
  close(next_free);
  const rlimit exhausted{static_cast<rlim_t>(next_free), before.rlim_max};
  ASSERT_EQ(setrlimit(RLIMIT_NOFILE, &exhausted), 0);
  const auto begin = std::chrono::steady_clock::now();
  const auto served = established.answer();
  const bool has_paused = eventually([&] { return server_->counters().accept_pauses >= 2; });
  const auto span = std::chrono::steady_clock::now() - begin;
  const auto pauses = server_->counters().accept_pauses;
  ASSERT_EQ(setrlimit(RLIMIT_NOFILE, &before), 0);

  EXPECT_TRUE(served);
  EXPECT_TRUE(has_paused);
  EXPECT_LE(pauses, static_cast<std::uint64_t>(span / 50ms) + 1);
  const auto answer = waiting.answer();
  ASSERT_TRUE(answer);
  EXPECT_EQ(answer->status, 200U);
}

/// A handler whose answer is a stream, and what became of it.
struct stream_probe {
  int begun = 0;
  int ended = 0;
  std::size_t bytes = 0;

  asio::awaitable<void> tick_for_ever(stream_writer& writer) {
    ++begun;
    while (co_await writer.write("tick\n") && !co_await writer.wait_closed(10s))
      ;
    ++ended;
  }

  asio::awaitable<void> flood(stream_writer& writer) {
    ++begun;
    const std::string piece(64 * 1024, 'x');
    while (co_await writer.write(piece))
      bytes += piece.size();
    ++ended;
  }

  asio::awaitable<void> three_pieces(stream_writer& writer) {
    for (const std::string_view piece : {"one ", "", "two ", "three"})
      co_await writer.write(piece);
    ++ended;
  }

  asio::awaitable<void> fail(stream_writer& writer) {
    co_await writer.write("half");
    throw std::runtime_error("the stream's bug");
  }

  asio::awaitable<response> handle(const request& req) {
    response answer;
    if (req.path() == "/ticks")
      answer.stream = [this](stream_writer& writer) { return tick_for_ever(writer); };
    else if (req.path() == "/flood")
      answer.stream = [this](stream_writer& writer) { return flood(writer); };
    else if (req.path() == "/fail")
      answer.stream = [this](stream_writer& writer) { return fail(writer); };
    else
      answer.stream = [this](stream_writer& writer) { return three_pieces(writer); };
    co_return answer;
  }
};

class HttpStream : public HttpServer {
protected:
  void listen(server_options options = {}) {
    HttpServer::listen(std::move(options), [this](const request& req) { return probe_.handle(req); });
  }

  stream_probe probe_;
};

TEST_F(HttpStream, IsSentInChunks) {
  listen();
  auto client = connect();
  client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
  ASSERT_TRUE(client.wait_closed());
  EXPECT_TRUE(client.received().ends_with("\r\n\r\n4\r\none \r\n4\r\ntwo \r\n5\r\nthree\r\n0\r\n\r\n"));
  const auto answer = client.answer();
  ASSERT_TRUE(answer);
  EXPECT_EQ(answer->body, "one two three");
  EXPECT_EQ(answer->header("Transfer-Encoding"), "chunked");
  EXPECT_EQ(answer->header("Content-Length"), "");
}

TEST_F(HttpStream, EndsWithTheConnectionForHttp10) {
  listen();
  auto client = connect();
  client.send("GET / HTTP/1.0\r\n\r\n");
  ASSERT_TRUE(client.wait_closed());
  const auto answer = client.answer();
  ASSERT_TRUE(answer);
  EXPECT_EQ(answer->body, "one two three");
  EXPECT_EQ(answer->header("Transfer-Encoding"), "");
}

TEST_F(HttpStream, IsNotBegunForHead) {
  listen();
  auto client = connect();
  client.send("HEAD / HTTP/1.1\r\nHost: a\r\n\r\n");
  EXPECT_TRUE(client.answer(true));
  EXPECT_EQ(probe_.ended, 0);
}

TEST_F(HttpStream, NoticesThatThePeerLeftWhileNothingIsWritten) {
  listen();
  auto client = connect();
  client.send("GET /ticks HTTP/1.1\r\nHost: a\r\n\r\n");
  ASSERT_TRUE(client.wait_for("tick\n"));
  EXPECT_EQ(server_->counters().requests_in_flight, 1U);
  EXPECT_EQ(probe_.ended, 0);
  const auto left = std::chrono::steady_clock::now();
  client.close();
  EXPECT_TRUE(eventually([&] { return probe_.ended == 1; }));
  EXPECT_LT(std::chrono::steady_clock::now() - left, 5s);
  EXPECT_TRUE(eventually([&] { return server_->counters().connections == 0; }));
}

TEST_F(HttpStream, ClosesAReaderThatDoesNotRead) {
  listen({.write_timeout = 100ms});
  auto client = connect();
  client.stop_reading();
  client.send("GET /flood HTTP/1.1\r\nHost: a\r\n\r\n");
  EXPECT_TRUE(eventually([&] { return probe_.ended == 1; }));
  EXPECT_TRUE(eventually([&] { return server_->counters().connections == 0; }));
  // What the kernel's buffers on both sides took; nothing was gathered in between.
  EXPECT_LT(probe_.bytes, 64U * 1024 * 1024);
}

TEST_F(HttpStream, AFailureCutsItWithoutEndMark) {
  listen();
  auto client = connect();
  client.send("GET /fail HTTP/1.1\r\nHost: a\r\n\r\n");
  ASSERT_TRUE(client.wait_closed());
  EXPECT_TRUE(client.received().ends_with("\r\n4\r\nhalf\r\n"));
  EXPECT_FALSE(client.answer());
}

TEST_F(HttpStream, EndsOrderlyWhenTheServerStops) {
  listen();
  auto client = connect();
  client.send("GET /ticks HTTP/1.1\r\nHost: a\r\n\r\n");
  ASSERT_TRUE(client.wait_for("tick\n"));
  test::run(loop_, server_->stop(5s));
  EXPECT_EQ(probe_.ended, 1);
  ASSERT_TRUE(client.wait_closed());
  EXPECT_TRUE(client.received().ends_with("\r\n0\r\n\r\n"));
}

TEST_F(HttpServer, StopsWithoutCuttingWhatIsInFlight) {
  listen();
  auto idle = connect();
  idle.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
  ASSERT_TRUE(idle.answer());
  auto silent = connect();
  auto busy = connect();
  busy.send("GET /slow HTTP/1.1\r\nHost: a\r\n\r\n");
  ASSERT_TRUE(eventually(
    [&] { return server_->counters().requests_in_flight == 1 && server_->counters().connections == 3; }));
  test::run(loop_, server_->stop(10s));
  const auto answer = busy.answer();
  ASSERT_TRUE(answer);
  EXPECT_EQ(answer->status, 200U);
  EXPECT_EQ(answer->header("Connection"), "close");
  EXPECT_TRUE(idle.wait_closed());
  EXPECT_TRUE(silent.wait_closed());
  EXPECT_EQ(server_->counters().connections, 0U);
  asio::ip::tcp::socket late{loop_};
  boost::system::error_code ec;
  late.connect(endpoint_, ec);
  EXPECT_EQ(ec, asio::error::connection_refused);
}

TEST_F(HttpServer, CutsWhatIsInFlightAfterTheGraceTime) {
  std::size_t woken = 0;
  asio::steady_timer for_ever{loop_, std::chrono::steady_clock::time_point::max()};
  listen({}, [&](const request& req) -> asio::awaitable<response> {
    return
      [](asio::steady_timer& timer, std::size_t& count, const request& asked) -> asio::awaitable<response> {
        co_await timer.async_wait(tuple);
        ++count;
        co_return co_await handle(asked);
      }(for_ever, woken, req);
  });
  auto client = connect();
  client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
  ASSERT_TRUE(eventually([&] { return server_->counters().requests_in_flight == 1; }));
  test::run(loop_, server_->stop(20ms));
  EXPECT_TRUE(client.wait_closed());
  EXPECT_EQ(server_->counters().connections, 0U);
  // The handler ends unheard, also when the server is gone.
  server_.reset();
  for_ever.cancel();
  EXPECT_TRUE(eventually([&] { return woken == 1; }));
}

TEST_F(HttpServer, SaysWhyItCannotListen) {
  listen();
  const auto again = [this](const std::string& host, std::uint16_t port, server_options options = {}) {
    server second{loop_.get_executor(), std::move(options), [](const request& req) { return handle(req); },
                  reject};
    const auto bound = second.listen(host, port);
    return bound ? std::string{"listens"} : bound.error().detail;
  };
  const auto taken = std::to_string(endpoint_.port());
  EXPECT_EQ(again("127.0.0.1", endpoint_.port()), "127.0.0.1:" + taken + " is in use by another program");
  EXPECT_EQ(again("example.invalid", 0), "\"example.invalid\" is no IP address to listen on");
  EXPECT_EQ(again("192.0.2.1", 0), "cannot listen on 192.0.2.1:0: Cannot assign requested address");
  EXPECT_EQ(again("127.0.0.1", 0, {.tls_key = "key.pem"}), "TLS needs both a certificate and its key");
  EXPECT_EQ(again("127.0.0.1", 0, {.tls_certificate = "/nowhere.pem", .tls_key = "/nowhere.pem"}),
            "no certificate in /nowhere.pem: No such file or directory");
  EXPECT_EQ(again("localhost", 0), "listens");
  EXPECT_EQ(again("[::1]", 0).substr(0, 7), "listens");
}

TEST_F(HttpServer, RefusesAKeyOfAnotherCertificate) {
  const test::certificate one{"DNS:localhost"};
  const test::certificate other{"DNS:localhost"};
  server server{loop_.get_executor(),
                {.tls_certificate = one.certificate_file(), .tls_key = other.key_file()},
                [](const request& req) { return handle(req); },
                reject};
  const auto bound = server.listen("127.0.0.1", 0);
  ASSERT_TRUE(bound.has_error());
  EXPECT_NE(bound.error().detail.find("no key of that certificate"), std::string::npos);
}

/// One exchange over TLS, as a browser would make it.
asio::awaitable<std::string> exchange_over_tls(asio::ip::tcp::endpoint to, std::string request) {
  asio::ssl::context context{asio::ssl::context::tls_client};
  asio::ssl::stream<asio::ip::tcp::socket> stream{co_await asio::this_coro::executor, context};
  co_await stream.next_layer().async_connect(to, asio::deferred);
  co_await stream.async_handshake(asio::ssl::stream_base::client, asio::deferred);
  co_await asio::async_write(stream, asio::buffer(request), asio::deferred);
  std::string received;
  for (;;) {
    std::array<char, 4096> piece;
    const auto [ec, size] = co_await stream.async_read_some(asio::buffer(piece), tuple);
    received.append(piece.data(), size);
    if (ec) {
      // Anything but an orderly goodbye could be an attacker's cut.
      EXPECT_EQ(ec, asio::error::eof);
      co_return received;
    }
  }
}

class HttpServerWithTls : public HttpServer {
protected:
  void listen(server_options options = {}) {
    options.tls_certificate = certificate_.certificate_file();
    options.tls_key = certificate_.key_file();
    HttpServer::listen(std::move(options));
  }

  test::certificate certificate_{"DNS:localhost"};
};

TEST_F(HttpServerWithTls, ServesRequests) {
  listen();
  auto received = test::run(loop_, exchange_over_tls(endpoint_, post("Content-Length: 3\r\n", "one") +
                                                                  post("Connection: close\r\n", "")));
  const auto first = test::take_answer(received);
  ASSERT_TRUE(first);
  EXPECT_EQ(first->body, "POST /echo [one]");
  const auto second = test::take_answer(received);
  ASSERT_TRUE(second);
  EXPECT_EQ(second->body, "POST /echo []");
}

TEST_F(HttpServerWithTls, DeliversALargeAnswerWhole) {
  listen();
  auto received = test::run(
    loop_, exchange_over_tls(endpoint_, "GET /large HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"));
  const auto answer = test::take_answer(received);
  ASSERT_TRUE(answer);
  EXPECT_EQ(answer->body.size(), 8U * 1024 * 1024);
}

TEST_F(HttpServerWithTls, TimesASlowHeaderOut) {
  listen({.header_timeout = 100ms});
  auto received = test::run(loop_, exchange_over_tls(endpoint_, "GET / HTTP/1.1\r\n"));
  const auto answer = test::take_answer(received);
  ASSERT_TRUE(answer);
  EXPECT_EQ(answer->status, 408U);
}

TEST_F(HttpServerWithTls, ClosesWhoNeverShakesHands) {
  listen({.header_timeout = 50ms});
  auto client = connect();
  EXPECT_TRUE(client.wait_closed());
}

TEST_F(HttpServerWithTls, ClosesWhoSpeaksNoTls) {
  listen();
  auto client = connect();
  client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
  EXPECT_TRUE(client.wait_closed());
  EXPECT_TRUE(eventually([&] { return server_->counters().connections == 0; }));
}

} // namespace
} // namespace skyengine::net::http
