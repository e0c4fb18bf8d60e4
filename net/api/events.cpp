#include "net/api/edge_state.hpp"
#include "net/api/records.hpp"
#include "net/api/routes.hpp"

#include <memory>

namespace skyengine::net::api {

namespace {

using namespace std::chrono_literals;
using actors::runtime::steady_duration;

constexpr auto poll_interval = 500ms;
constexpr auto comment_interval = 15s;
// A client comes back by itself and shows its key again, which may have been revoked meanwhile.
constexpr auto longest_stream = 1h;
constexpr int stream_batch = 100;

void append_event(std::string& text, const server_event& one) {
  text.append("id: ").append(std::to_string(one.id.value));
  text.append("\nevent: server_event\ndata: ").append(to_json(one)).append("\n\n");
}

/// Writes what comes behind `after` until the client leaves or the time is over. `edge` outlives it.
asio::awaitable<void> stream_events(
  edge_state& edge, server_id id, event_id after, std::shared_ptr<gate::place>, http::stream_writer& out) {
  auto& timers = edge.services.timers;
  const auto end = timers.now() + longest_stream;
  auto written_at = timers.now();
  // Tells the client at once that the stream stands, and how soon to come back when it is cut.
  if (!co_await out.write("retry: 1000\n\n"))
    co_return;
  while (timers.now() < end) {
    const auto found = co_await edge.servers.events(id, after, stream_batch);
    std::string text;
    if (found)
      for (const auto& one : *found) {
        append_event(text, one);
        after = one.id;
      }
    if (text.empty() && timers.now() - written_at >= comment_interval)
      text = ": nothing new\n\n";
    if (!text.empty()) {
      if (!co_await out.write(text))
        co_return;
      written_at = timers.now();
    }
    if (co_await out.wait_closed(poll_interval))
      co_return;
  }
}

result<event_id> last_event_id(const http::request& request) {
  const auto found = request.headers.find("Last-Event-ID");
  if (found == request.headers.end() || found->value().empty() || found->value() == "0")
    return event_id{0};
  const auto id = parse_id({found->value().data(), found->value().size()});
  if (!id)
    return error{errc::malformed_request, "Last-Event-ID is none that this stream gave"};
  return event_id{*id};
}

http::response event_stream(edge_state& edge, server_id id, event_id after, gate::place place) {
  http::response answer;
  answer.headers.set(http::field::content_type, "text/event-stream");
  answer.headers.set(http::field::cache_control, "no-store");
  // Proxies of nginx's kind would gather the pieces.
  answer.headers.set("X-Accel-Buffering", "no");
  auto shared = std::make_shared<gate::place>(std::move(place));
  answer.stream = [&edge, id, after, shared](http::stream_writer& out) {
    return stream_events(edge, id, after, shared, out);
  };
  return answer;
}

asio::awaitable<result<http::response>> list_events(edge_state& edge, const call& c, server_id id) {
  const auto list = "events " + std::to_string(id.value);
  const auto page = parse_id_page(list, c.query);
  if (!page)
    co_return page.error();
  const auto limit = page->first.limit;
  auto found = co_await edge.servers.events(id, {page->second.value_or(0)}, limit + 1);
  if (!found)
    co_return found.error();
  co_return list_answer(
    list, std::move(*found), limit, [](json_writer& out, const server_event& one) { write(out, one); },
    [](const server_event& one) { return std::to_string(one.id.value); });
}

} // namespace

answer get_server_events(edge_state& edge, const call& c) {
  const auto server = co_await find_server(edge, c);
  if (!server)
    co_return server.error();
  if (c.media == 0)
    co_return co_await list_events(edge, c, server->id);
  const auto after = last_event_id(c.request);
  if (!after)
    co_return after.error();
  auto place = edge.stream_gate.enter();
  if (!place)
    co_return error{errc::overloaded, "too many event streams are open"};
  co_return event_stream(edge, server->id, *after, std::move(*place));
}

} // namespace skyengine::net::api
