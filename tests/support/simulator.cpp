#include "tests/support/simulator.hpp"

#include <boost/asio.hpp>
#include <boost/beast/core.hpp>
#include <boost/beast/http.hpp>

#include <stdexcept>

namespace skyengine::test {
namespace {

namespace asio = boost::asio;
namespace beast = boost::beast;
namespace http = beast::http;
namespace json = boost::json;

struct split_url {
  std::string host;
  std::string port;
  std::string target;
};

split_url split(const std::string& url) {
  constexpr std::string_view scheme = "http://";
  if (!url.starts_with(scheme))
    throw std::runtime_error{"no http:// address: " + url};
  const auto host_end = std::min(url.find('/', scheme.size()), url.size());
  const auto colon = url.rfind(':', host_end);
  if (colon < scheme.size())
    throw std::runtime_error{"no port in " + url};
  auto target = url.substr(host_end);
  return {url.substr(scheme.size(), colon - scheme.size()), url.substr(colon + 1, host_end - colon - 1),
          target.empty() ? "/" : std::move(target)};
}

asio::awaitable<call_answer>
exchange(split_url where, http::request<http::string_body> request, std::chrono::milliseconds patience) {
  constexpr auto without_throw = asio::as_tuple(asio::use_awaitable);
  beast::tcp_stream stream{co_await asio::this_coro::executor};
  stream.expires_after(patience);
  const asio::ip::tcp::endpoint peer{asio::ip::make_address(where.host),
                                     static_cast<std::uint16_t>(std::stoi(where.port))};
  call_answer answer;
  const auto [refused] = co_await stream.async_connect(peer, without_throw);
  if (refused) {
    answer.failure = refused.message();
    co_return answer;
  }
  const auto [unsent, sent] = co_await http::async_write(stream, request, without_throw);
  if (unsent) {
    answer.failure = unsent.message();
    co_return answer;
  }
  beast::flat_buffer buffer;
  http::response_parser<http::string_body> parser;
  parser.body_limit(boost::none);
  const auto [cut, read] = co_await http::async_read(stream, buffer, parser, without_throw);
  if (cut) {
    answer.failure = cut.message();
    co_return answer;
  }
  auto& response = parser.get();
  answer.status = response.result_int();
  answer.content_type = response[http::field::content_type];
  answer.retry_after = response[http::field::retry_after];
  answer.body = std::move(response.body());
  co_return answer;
}

[[noreturn]] void refuse(std::string_view what, const call_answer& answer) {
  throw std::runtime_error{"the simulator refused " + std::string{what} + ": " +
                           std::to_string(answer.status) + ' ' + answer.body + answer.failure};
}

void expect(std::string_view what, const call_answer& answer) {
  if (answer.status < 200 || answer.status > 299)
    refuse(what, answer);
}

} // namespace

json::value call_answer::json() const {
  boost::system::error_code failed;
  auto parsed = json::parse(body, failed);
  return failed ? json::value(nullptr) : parsed;
}

call_answer http_call(std::string_view method,
                      const std::string& url,
                      const std::string& body,
                      const std::vector<std::pair<std::string, std::string>>& headers,
                      std::chrono::milliseconds patience) {
  auto where = split(url);
  http::request<http::string_body> request;
  request.method_string({method.data(), method.size()});
  request.target(where.target);
  request.set(http::field::host, where.host + ':' + where.port);
  request.set(http::field::accept, "application/json");
  request.set(http::field::connection, "close");
  for (const auto& [name, value] : headers)
    request.set(name, value);
  request.body() = body;
  request.prepare_payload();
  asio::io_context loop{1};
  call_answer answer;
  asio::co_spawn(loop, exchange(std::move(where), std::move(request), patience),
                 [&](std::exception_ptr bug, call_answer came) {
                   if (bug)
                     std::rethrow_exception(bug);
                   answer = std::move(came);
                 });
  loop.run();
  return answer;
}

simulated_panel::simulated_panel(std::vector<std::string> options) : options_(std::move(options)) {
  start("127.0.0.1:0");
}

void simulated_panel::start(const std::string& listen) {
  std::vector<std::string> arguments{"--listen", listen, "--token", token};
  arguments.insert(arguments.end(), options_.begin(), options_.end());
  child_ = std::make_unique<process>(process_options{built_program("virtfusion-simulator"), arguments});
  constexpr std::string_view greeting = "virtfusion-simulator listening on ";
  const auto line = child_->read_line();
  if (!line || !line->starts_with(greeting))
    throw std::runtime_error{"the simulator did not come up: " + line.value_or("it says nothing")};
  url_ = line->substr(greeting.size());
  origin_ = url_.substr(0, url_.rfind("/api/v1"));
}

void simulated_panel::restart() {
  kill();
  start(origin_.substr(std::string_view{"http://"}.size()));
}

call_answer
simulated_panel::api(std::string_view method, std::string_view path, const std::string& body) const {
  auto answer =
    http_call(method, url_ + std::string{path}, body,
              {{"Authorization", std::string{"Bearer "} + token}, {"Content-Type", "application/json"}});
  if (observer_)
    observer_(method, path, body, answer);
  return answer;
}

call_answer
simulated_panel::api(std::string_view method, std::string_view path, const json::object& body) const {
  return api(method, path, json::serialize(body));
}

call_answer
simulated_panel::control(std::string_view method, std::string_view path, const std::string& body) const {
  auto answer = http_call(method, origin_ + "/_control" + std::string{path}, body);
  expect(path, answer);
  return answer;
}

void simulated_panel::add_fault(const json::object& fault) const {
  control("POST", "/faults", json::serialize(fault));
}
void simulated_panel::clear_faults() const {
  control("DELETE", "/faults");
}
json::object simulated_panel::state() const {
  return control("GET", "/state").json().as_object();
}
json::object simulated_panel::requests() const {
  return control("GET", "/requests").json().as_object();
}
void simulated_panel::reset_requests() const {
  control("DELETE", "/requests");
}

json::object simulated_panel::server(std::int64_t id) const {
  const auto whole = state();
  for (const auto& entry : whole.at("servers").as_array())
    if (entry.at("id").as_int64() == id)
      return entry.as_object();
  return {};
}

void simulated_panel::make_servers(std::int64_t count, std::int64_t users) const {
  control("POST", "/servers", json::serialize(json::object{{"count", count}, {"users", users}}));
}

void simulated_panel::patch_server(std::int64_t id, const json::object& change) const {
  control("PATCH", "/servers/" + std::to_string(id), json::serialize(change));
}

void simulated_panel::erase_server(std::int64_t id) const {
  control("DELETE", "/servers/" + std::to_string(id));
}

bool simulated_panel::wait_until(const std::function<bool()>& holds) {
  const auto limit = std::chrono::steady_clock::now() + std::chrono::seconds{20};
  while (!holds())
    if (std::chrono::steady_clock::now() >= limit)
      return false;
  return true;
}

bool simulated_panel::wait_for_state(const std::function<bool(const json::object& state)>& holds) const {
  return wait_until([&] { return holds(state()); });
}

} // namespace skyengine::test
