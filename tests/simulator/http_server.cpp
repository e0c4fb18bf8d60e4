#include "tests/simulator/http_server.hpp"

#include "tests/simulator/randomness.hpp"
#include "tests/simulator/routes.hpp"

#include <boost/asio.hpp>
#include <boost/beast/core.hpp>
#include <boost/beast/http.hpp>

#include <algorithm>
#include <array>
#include <optional>
#include <string_view>
#include <utility>

namespace skyengine::simulator {
namespace {

namespace asio = boost::asio;
namespace beast = boost::beast;
namespace http = beast::http;

constexpr auto without_throw = asio::as_tuple(asio::use_awaitable);
constexpr std::chrono::seconds idle_limit{120};
constexpr std::uint64_t max_body_bytes = 1024 * 1024;
constexpr std::uint32_t max_header_bytes = 32 * 1024;
constexpr std::chrono::milliseconds trickle_pause{100};
constexpr std::chrono::milliseconds usual_staleness{30'000};
constexpr std::string_view api_root = "/api/v1";
constexpr std::string_view control_root = "/_control";

asio::awaitable<void> wait(std::chrono::milliseconds span) {
  if (span.count() <= 0)
    co_return;
  asio::steady_timer timer{co_await asio::this_coro::executor, span};
  co_await timer.async_wait(without_throw);
}

std::string to_wire(const reply& r, bool keep_alive) {
  std::string text = "HTTP/1.1 " + std::to_string(r.status) + ' ';
  text += http::obsolete_reason(http::int_to_status(r.status));
  text += "\r\nServer: virtfusion-simulator\r\n";
  if (!r.body.empty())
    text += "Content-Type: " + r.content_type + "\r\n";
  if (r.status != 204)
    text += "Content-Length: " + std::to_string(r.body.size()) + "\r\n";
  if (!r.retry_after.empty())
    text += "Retry-After: " + r.retry_after + "\r\n";
  text += keep_alive ? "\r\n" : "Connection: close\r\n\r\n";
  text += r.body;
  return text;
}

/// What a panel, or a proxy before it, says with `status`.
reply canned(unsigned status) {
  if (status == 401)
    return {401, "401 Unauthorized", "text/plain"};
  if (status == 502 || status == 503 || status == 504) {
    const auto title =
      std::to_string(status) + ' ' + std::string{http::obsolete_reason(http::int_to_status(status))};
    return {status,
            "<html><head><title>" + title + "</title></head><body><center><h1>" + title +
              "</h1></center><hr><center>nginx</center></body></html>\n",
            "text/html"};
  }
  if (status == 204 || status == 304)
    return {status, ""};
  if (status == 422)
    return {status, R"({"errors":["simulated fault"]})"};
  if (status == 423)
    return message(status, "a task is active on this server");
  return message(status, status == 429 ? "Too Many Attempts." : "simulated fault");
}

/// Answers that keep to HTTP and to nothing else, one after the other.
void spoil(reply& r, std::size_t nth) {
  constexpr std::size_t huge = 10 * 1024 * 1024;
  switch (nth % 5) {
  case 0:
    r.body = R"({"data": {"id": 1, "state": "allo)";
    break;
  case 1:
    r.body = "<!DOCTYPE html><html><body>Whoops, looks like something went wrong.</body></html>";
    r.content_type = "text/html";
    break;
  case 2:
    r.body = R"({"data": "unexpected", "info": 7})";
    break;
  case 3:
    r.body.clear();
    break;
  default:
    r.body = R"({"data": ")" + std::string(huge, 'x') + R"("})";
  }
  if (r.status == 204)
    r.status = 200;
}

} // namespace

/// Notes the end of a request exactly once, whichever way its coroutine ends.
class panel::flight {
public:
  flight(request_log& log, std::string_view operation) : log_(log) {
    log_.begin(operation, std::chrono::steady_clock::now());
  }
  ~flight() { land("none"); }
  flight(const flight&) = delete;
  flight& operator=(const flight&) = delete;

  void land(std::string_view status) {
    if (!std::exchange(has_landed_, true))
      log_.end(status);
  }

private:
  request_log& log_;
  bool has_landed_ = false;
};

struct panel::session {
  beast::tcp_stream stream;
  beast::flat_buffer buffer = {};
  http::request<http::string_body> request = {};

  asio::awaitable<bool> send(std::string text, bool keep_alive) {
    stream.expires_after(idle_limit);
    const auto [failed, sent] = co_await asio::async_write(stream, asio::buffer(text), without_throw);
    co_return !failed && keep_alive;
  }

  /// Byte by byte; false when the caller has gone.
  asio::awaitable<bool> trickle(std::string text, std::chrono::milliseconds pause) {
    for (const char c : text) {
      if (!co_await send(std::string(1, c), true))
        co_return false;
      co_await wait(pause);
    }
    co_return true;
  }

  /// Silence, until the caller has had enough.
  asio::awaitable<void> wait_for_end() {
    std::array<char, 512> ignored{};
    stream.expires_never();
    for (bool has_ended = false; !has_ended;) {
      const auto [gone, size] = co_await stream.async_read_some(asio::buffer(ignored), without_throw);
      has_ended = gone.failed();
    }
  }

  void cut(bool with_reset) {
    auto& socket = beast::get_lowest_layer(stream).socket();
    boost::system::error_code ignored;
    if (with_reset)
      socket.set_option(asio::socket_base::linger(true, 0), ignored);
    else
      socket.shutdown(tcp::socket::shutdown_both, ignored);
    socket.close(ignored);
  }
};

panel::panel(panel_options options,
             model& m,
             state_file* state,
             std::function<moment()> clock,
             std::function<void(const error&)> give_up)
    : options_(std::move(options)), model_(m), state_(state), clock_(std::move(clock)),
      give_up_(std::move(give_up)), faults_(mix(options_.seed, 1)), control_(model_, faults_, requests_),
      random_(mix(options_.seed, 2)) {}

asio::awaitable<void> panel::accept(tcp::acceptor acceptor) {
  const auto loop = co_await asio::this_coro::executor;
  started_ = clock_();
  for (;;) {
    auto [failed, socket] = co_await acceptor.async_accept(without_throw);
    if (failed == asio::error::operation_aborted)
      co_return;
    if (failed) {
      // Out of file descriptors: the ones in use come back.
      co_await wait(std::chrono::milliseconds{50});
      continue;
    }
    boost::system::error_code ignored;
    socket.set_option(tcp::no_delay(true), ignored);
    asio::co_spawn(loop, serve(std::move(socket)), asio::detached);
  }
}

asio::awaitable<void> panel::serve(tcp::socket socket) {
  session s{beast::tcp_stream{std::move(socket)}};
  for (bool goes_on = true; goes_on;) {
    http::request_parser<http::string_body> parser;
    parser.body_limit(max_body_bytes);
    parser.header_limit(max_header_bytes);
    s.stream.expires_after(idle_limit);
    const auto [failed, size] = co_await http::async_read(s.stream, s.buffer, parser, without_throw);
    if (failed == http::error::end_of_stream ||
        failed.category() != http::make_error_code(http::error{}).category()) {
      if (failed)
        break;
    } else if (failed) {
      co_await s.send(to_wire(message(400, "not an HTTP request: " + failed.message()), false), false);
      break;
    }
    s.request = parser.release();
    s.stream.expires_never();
    const std::string_view target{s.request.target().data(), s.request.target().size()};
    goes_on = target.starts_with(control_root) ? co_await answer_control(s) : co_await answer_api(s);
  }
  boost::system::error_code ignored;
  beast::get_lowest_layer(s.stream).socket().shutdown(tcp::socket::shutdown_both, ignored);
}

asio::awaitable<bool> panel::answer_control(session& s) {
  const std::string_view target{s.request.target().data(), s.request.target().size()};
  const std::string_view method{s.request.method_string().data(), s.request.method_string().size()};
  const auto answer = control_.answer(method, target.substr(0, target.find('?')), s.request.body(), clock_());
  keep_changes();
  co_return co_await s.send(to_wire(answer, s.request.keep_alive()), s.request.keep_alive());
}

asio::awaitable<bool> panel::answer_api(session& s) {
  const bool keep_alive = s.request.keep_alive();
  const std::string_view target{s.request.target().data(), s.request.target().size()};
  const std::string_view method{s.request.method_string().data(), s.request.method_string().size()};
  const auto query_begins = std::min(target.find('?'), target.size());
  const auto path = target.substr(0, query_begins);
  const api_request request{method,
                            path.starts_with(api_root) ? path.substr(api_root.size()) : std::string_view{},
                            target.substr(std::min(query_begins + 1, target.size())), s.request.body()};
  const auto matched = match_route(method, request.path, options_.has_task_scheduler);
  const auto operation = matched.what ? operation_of(*matched.what) : std::string_view{"unknown"};
  flight in_flight{requests_, operation};

  if (s.request[http::field::authorization] != "Bearer " + options_.token) {
    in_flight.land("401");
    co_return co_await s.send(to_wire(canned(401), keep_alive), keep_alive);
  }
  if (!take_token()) {
    auto refused = canned(429);
    refused.retry_after = "1";
    in_flight.land("429");
    co_return co_await s.send(to_wire(refused, keep_alive), keep_alive);
  }
  if (!matched.what) {
    // Not "server not found": a wrong path is a mistake of the caller's.
    const reply unknown{404, R"({"message":"The route could not be found."})"};
    in_flight.land("404");
    co_return co_await s.send(to_wire(unknown, keep_alive), keep_alive);
  }

  co_return co_await play(s, matched, request, faults_.draw(operation, hypervisor_asked_for(matched, model_)),
                          in_flight);
}

asio::awaitable<bool> panel::play(session& s,
                                  const matched_route& matched,
                                  const api_request& request,
                                  drawn_faults drawn,
                                  flight& in_flight) {
  const bool keep_alive = s.request.keep_alive();
  const auto kind = drawn.hit ? std::optional{drawn.hit->kind} : std::nullopt;
  const auto fault_found = drawn.hit.value_or(fault{});
  const auto own_delay = fault_found.delay.value_or(std::chrono::milliseconds{0});
  work_faults changed;
  changed.build_fails = kind == fault_kind::build_fails;
  changed.suspend_leaves_running = kind == fault_kind::suspend_leaves_running;
  if (kind == fault_kind::stale_list)
    changed.hide_younger_than = fault_found.delay.value_or(usual_staleness);

  if (kind == fault_kind::late_effect) {
    s.cut(false);
    co_await wait(drawn.delay + own_delay);
    work(matched, request, changed);
    co_return false;
  }
  co_await wait(latency() + drawn.delay);
  reply answer;
  switch (kind.value_or(fault_kind::delay)) {
  case fault_kind::reset:
    s.cut(true);
    co_return false;
  case fault_kind::status:
  case fault_kind::rate_limit:
    co_await wait(own_delay);
    answer = canned(kind == fault_kind::rate_limit ? 429 : fault_found.status);
    answer.retry_after = fault_found.retry_after;
    break;
  case fault_kind::stall:
    co_await wait(own_delay);
    work(matched, request, changed);
    in_flight.land("none");
    co_await s.wait_for_end();
    co_return false;
  case fault_kind::lost_answer:
    work(matched, request, changed);
    s.cut(false);
    co_return false;
  case fault_kind::malformed:
    answer = work(matched, request, changed);
    spoil(answer, drawn.earlier_hits);
    break;
  default:
    answer = work(matched, request, changed);
  }

  auto text = to_wire(answer, keep_alive);
  if (kind == fault_kind::truncate) {
    // Half of the body, or of the head where there is no body.
    text.resize(answer.body.empty() ? text.size() / 2 : text.size() - (answer.body.size() + 1) / 2);
    co_await s.send(std::move(text), false);
    s.cut(false);
    co_return false;
  }
  const bool is_sent = kind == fault_kind::trickle
                         ? co_await s.trickle(std::move(text), fault_found.delay.value_or(trickle_pause))
                         : co_await s.send(std::move(text), true);
  in_flight.land(is_sent ? std::to_string(answer.status) : "none");
  const bool goes_on = is_sent && keep_alive;
  co_return goes_on;
}

reply panel::work(const matched_route& matched, const api_request& request, const work_faults& faults) {
  auto answer = perform(matched, request, model_, faults, started_, clock_());
  keep_changes();
  return answer;
}

void panel::keep_changes() {
  if (!state_)
    return;
  if (const auto kept = state_->append(model_); kept.has_error())
    give_up_(kept.error());
}

bool panel::take_token() {
  if (options_.rate_limit == 0)
    return true;
  const auto now = std::chrono::steady_clock::now();
  const auto limit = static_cast<double>(options_.rate_limit);
  if (tokens_counted_ == std::chrono::steady_clock::time_point{})
    tokens_ = limit;
  else
    tokens_ = std::min(limit, tokens_ + std::chrono::duration<double>(now - tokens_counted_).count() * limit);
  tokens_counted_ = now;
  if (tokens_ < 1)
    return false;
  tokens_ -= 1;
  return true;
}

std::chrono::milliseconds panel::latency() {
  const auto spread = options_.jitter.count();
  const auto shift = spread == 0 ? 0 : std::uniform_int_distribution<std::int64_t>{-spread, spread}(random_);
  return std::chrono::milliseconds{std::max<std::int64_t>(0, options_.latency.count() + shift)};
}

} // namespace skyengine::simulator
