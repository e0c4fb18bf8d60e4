#include "net/api/edge.hpp"

#include "net/api/api_key_secret.hpp"
#include "net/api/edge_state.hpp"
#include "net/api/media_type.hpp"
#include "net/api/problem.hpp"
#include "net/api/route_table.hpp"
#include "net/http/strict_json.hpp"

#include <caf/send.hpp>

#include <algorithm>

namespace skyengine::net::api {

namespace {

// 2025-11-01, in the form of RFC 9745: the first release has the new route.
constexpr auto deprecated_since = "@1761955200";

// What the database notifies; the payload is an id.
constexpr auto key_channel = "api_key_changed";
constexpr auto action_channel = "action_called";
constexpr auto schedule_channel = "schedules_changed";

/// What `name` says; empty when it is absent. errc::malformed_request when it is there twice.
result<std::string_view> single_header(const http::request& request, std::string_view name) {
  const auto [first, last] = request.headers.equal_range({name.data(), name.size()});
  if (first == last)
    return std::string_view{};
  if (std::next(first) != last)
    return error{errc::malformed_request, std::string{name} + " is there twice"};
  return std::string_view{first->value().data(), first->value().size()};
}

/// All lines of a list header as one.
std::string joined_header(const http::request& request, http::field name) {
  std::string all;
  const auto [first, last] = request.headers.equal_range(name);
  for (auto line = first; line != last; ++line)
    all.append(all.empty() ? "" : ",").append(line->value().data(), line->value().size());
  return all;
}

result<> check_access(const route& wanted, const api_key& key) {
  if (wanted.who == audience::operators && !key.is_operator())
    return error{errc::forbidden, "an operator's key is needed"};
  if (!wanted.scope.empty() && !key.allows(wanted.scope))
    return error{errc::forbidden, "the key lacks the scope " + std::string{wanted.scope}};
  return {};
}

void add_allowance(http::response& answer, const key_guard_options& limits, const key_allowance& allowance) {
  const auto window = (limits.burst + limits.rate - 1) / limits.rate;
  answer.headers.set("RateLimit-Policy",
                     "\"key\";q=" + std::to_string(limits.burst) + ";w=" + std::to_string(window));
  answer.headers.set("RateLimit", "\"key\";r=" + std::to_string(allowance.remaining) +
                                    ";t=" + std::to_string(allowance.reset.count()));
}

} // namespace

void edge_state::tell_timer() const {
  if (cron_timer)
    caf::anon_send(cron_timer, actors::schedules_changed{});
}

http::response json_answer(http::status status, std::string body) {
  http::response answer;
  answer.status = status;
  answer.headers.set(http::field::content_type, "application/json");
  answer.headers.set(http::field::cache_control, "no-store");
  answer.body = std::move(body);
  return answer;
}

result<server_id> server_in_path(const call& c) {
  if (const auto id = parse_id(c.parameters[0]))
    return server_id{*id};
  return error{errc::not_found, "no such server"};
}

error only_operators_name_users() {
  return {errc::forbidden, "only an operator's key names a user"};
}

asio::awaitable<result<server>> find_server(edge_state& edge, const call& c) {
  const auto id = server_in_path(c);
  if (!id)
    co_return id.error();
  co_return co_await edge.servers.find(*id, c.owner());
}

result<boost::json::object> read_body(const http::request& request) {
  const auto type = single_header(request, "Content-Type");
  if (!type || !is_json(*type))
    return error{errc::unsupported_media_type, "send the body as Content-Type: application/json"};
  auto parsed = http::parse_strict(request.body);
  if (!parsed)
    return parsed.error();
  if (!parsed->is_object())
    return error{errc::invalid_request, "the body is no JSON object", {{"", "is no JSON object"}}};
  return std::move(parsed->get_object());
}

result<boost::json::object> read_optional_body(const http::request& request) {
  return request.body.empty() ? boost::json::object{} : read_body(request);
}

result<std::optional<idempotency_claim>> read_claim(const call& c) {
  const auto found = c.request.headers.find("Idempotency-Key");
  if (found == c.request.headers.end())
    return std::optional<idempotency_claim>{};
  const auto key = single_header(c.request, "Idempotency-Key");
  if (!key)
    return key.error();
  if (const auto checked = check_idempotency_key(*key); !checked)
    return checked.error();
  return std::optional{idempotency_claim{c.key->caller(), std::string{*key}, c.request.method_text,
                                         std::string{c.request.path()}, sha256_hex(c.request.body)}};
}

namespace {

/// Everything between a request and its route's answer. `pattern` becomes the route's, once that is known.
asio::awaitable<http::response>
dispatch(edge_state& edge, const http::request& request, std::string_view& pattern) {
  const auto fail = [&](const error& why) { return make_problem(why, request.request_id); };
  const auto segments = http::path_segments(request.path());
  if (!segments)
    co_return fail(segments.error());
  auto match = match_route(request.method, *segments);
  const auto* wanted = match ? match->found : nullptr;
  if (wanted != nullptr)
    pattern = wanted->pattern;

  call c{request, {}, {}, nullptr, 0};
  std::shared_ptr<const api_key> key;
  std::optional<key_allowance> allowance;
  const auto finish = [&](http::response answer) {
    if (allowance)
      add_allowance(answer, edge.options.keys, *allowance);
    if (wanted != nullptr && !wanted->successor.empty()) {
      answer.headers.set("Deprecation", deprecated_since);
      answer.headers.set(http::field::link,
                         "<" + std::string{wanted->successor} + ">; rel=\"successor-version\"");
    }
    return answer;
  };
  const auto needs_key = wanted != nullptr && wanted->who != audience::everybody;
  const auto is_lost = wanted == nullptr && request.headers.count(http::field::authorization) > 0;
  if (needs_key || is_lost) {
    const auto checked = co_await edge.keys.check(request);
    if (!checked && needs_key)
      co_return finish(fail(checked.error()));
    if (checked) {
      key = *checked;
      c.key = key.get();
      allowance = edge.keys.count(*key, edge.services.timers.now());
      if (allowance && !allowance->is_allowed)
        co_return finish(
          fail({errc::rate_limited, "this key makes too many requests", {}, allowance->reset}));
    }
  }
  if (!match)
    co_return finish(fail({errc::not_found, "there is nothing at this path"}));
  if (wanted == nullptr) {
    auto answer = fail({errc::method_not_allowed, "this path takes " + match->allowed});
    answer.headers.set(http::field::allow, match->allowed);
    co_return finish(std::move(answer));
  }
  if (needs_key)
    if (const auto allowed = check_access(*wanted, *key); !allowed)
      co_return finish(fail(allowed.error()));
  const auto media = negotiate(joined_header(request, http::field::accept), wanted->media);
  if (!media)
    co_return finish(
      fail({errc::not_acceptable, "this path answers with " + std::string{wanted->media.front()}}));
  c.media = *media;
  auto query = http::parse_query(request.query());
  if (!query)
    co_return finish(fail(query.error()));
  c.query = std::move(*query);
  c.parameters = std::move(match->parameters);
  auto answered = co_await wanted->run(edge, c);
  co_return finish(answered ? std::move(*answered) : fail(answered.error()));
}

/// A method's name for the metrics, from a fixed set.
std::string_view method_label(http::verb method) noexcept {
  if (method == http::verb::unknown)
    return "other";
  const auto name = boost::beast::http::to_string(method);
  return {name.data(), name.size()};
}

} // namespace

edge::edge(asio::any_io_executor loop, edge_services services, edge_options options)
    : state_(std::make_unique<edge_state>(services, std::move(options))) {
  auto* state = state_.get();
  listener_ = std::make_unique<db::listener>(
    std::move(loop), services.database.options(),
    std::vector<std::string>{key_channel, action_channel, schedule_channel},
    db::listener_callbacks{[state] { state->keys.set_listening(true); },
                           [state] { state->keys.set_listening(false); },
                           [state](std::string_view channel, std::string_view payload) {
                             const auto id = parse_id(payload);
                             if (channel == schedule_channel)
                               state->tell_timer();
                             else if (id && channel == key_channel)
                               state->keys.forget({*id});
                             else if (id && state->provisioner)
                               caf::anon_send(state->provisioner, actors::nudge_action{{*id}});
                           }});
}

edge::~edge() = default;

void edge::close() {
  listener_.reset();
  state_->provisioner = nullptr;
  state_->gateway = nullptr;
  state_->cron_timer = nullptr;
  state_->billing = nullptr;
  state_->metrics_sync = nullptr;
  state_->supervisor = nullptr;
}

void edge::set_provisioner(actors::server_provisioner_actor provisioner) {
  state_->provisioner = std::move(provisioner);
}

void edge::set_gateway(actors::virtfusion_gateway_actor gateway) {
  state_->gateway = std::move(gateway);
}

void edge::set_billing(actors::billing_actor billing) {
  state_->billing = std::move(billing);
}

void edge::set_metrics_sync(actors::metrics_sync_actor sync) {
  state_->metrics_sync = std::move(sync);
}

void edge::set_cron_timer(actors::cron_timer_actor timer) {
  state_->cron_timer = std::move(timer);
}

void edge::set_supervisor(actors::supervisor_actor supervisor) {
  state_->supervisor = std::move(supervisor);
}

void edge::set_ready() {
  state_->is_ready = true;
}

asio::awaitable<http::response> edge::handle(const http::request& request) {
  const auto begun = std::chrono::steady_clock::now();
  std::string_view pattern = "none";
  auto answer = co_await dispatch(*state_, request, pattern);
  state_->figures.count({method_label(request.method), pattern, static_cast<unsigned>(answer.status)},
                        std::chrono::steady_clock::now() - begun);
  co_return answer;
}

http::response edge::reject(const error& why, const std::string& request_id) {
  auto answer = make_problem(why, request_id);
  state_->figures.count({"none", "none", static_cast<unsigned>(answer.status)}, {});
  return answer;
}

} // namespace skyengine::net::api
