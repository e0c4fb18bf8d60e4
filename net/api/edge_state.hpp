#pragma once

#include "actors/runtime/steady_timers.hpp"
#include "db/adoption_store.hpp"
#include "db/audit_log_store.hpp"
#include "db/catalogue_store.hpp"
#include "db/drift_store.hpp"
#include "db/hold_store.hpp"
#include "db/metric_series_store.hpp"
#include "db/money_store.hpp"
#include "db/schedule_store.hpp"
#include "db/server_store.hpp"
#include "net/api/commands.hpp"
#include "net/api/edge.hpp"
#include "net/api/http_figures.hpp"
#include "net/api/time_zones.hpp"
#include "net/api/user_gate.hpp"

#include <boost/json/object.hpp>

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace skyengine::net::api {

/// Counts what is under way, and refuses beyond a bound.
class gate {
public:
  explicit gate(std::size_t most) : most_(most) {}

  /// A place, given back with its end.
  class place {
  public:
    explicit place(gate& owner) : owner_(&owner) { ++owner_->taken_; }
    place(place&& other) noexcept : owner_(std::exchange(other.owner_, nullptr)) {}
    place& operator=(place&&) = delete;
    ~place() {
      if (owner_ != nullptr)
        --owner_->taken_;
    }

  private:
    gate* owner_;
  };

  std::optional<place> enter() {
    if (taken_ >= most_)
      return std::nullopt;
    return std::optional<place>{std::in_place, *this};
  }
  std::size_t taken() const noexcept { return taken_; }

private:
  std::size_t most_;
  std::size_t taken_ = 0;
};

/// A request of this node that others with the same key wait for.
struct answer_under_way {
  idempotency_claim claim;
  /// Why it came to nothing, once it has.
  std::optional<error> refusal;
  std::vector<std::shared_ptr<actors::runtime::nudge>> waiting;
};

/// What all routes share.
struct edge_state {
  edge_state(edge_services given, edge_options chosen)
      : services(given), options(std::move(chosen)), servers(given.database), catalogue(given.database),
        api_keys(given.database), audit(given.database), schedules(given.database),
        metric_series(given.database), money(given.database), holds(given.database), drift(given.database),
        adoptions(given.database), keys(api_keys, options.keys), provisioner_gate(options.most_questions),
        stream_gate(options.most_streams) {}

  edge_services services;
  edge_options options;
  db::server_store servers;
  db::catalogue_store catalogue;
  db::api_key_store api_keys;
  db::audit_log_store audit;
  db::schedule_store schedules;
  db::metric_series_store metric_series;
  db::money_store money;
  db::hold_store holds;
  db::drift_store drift;
  db::adoption_store adoptions;
  key_guard keys;
  http_figures figures;
  const time_zones zones;
  /// Those that were asked for, of those that there are.
  std::map<std::string, std::shared_ptr<const time_zone>> loaded_zones;

  actors::server_provisioner_actor provisioner;
  actors::virtfusion_gateway_actor gateway;
  actors::cron_timer_actor cron_timer;
  actors::billing_actor billing;
  actors::metrics_sync_actor metrics_sync;
  actors::supervisor_actor supervisor;
  bool is_ready = false;

  gate provisioner_gate;
  gate stream_gate;
  /// Reports read a user's whole month: a few at once, so that the others find a connection.
  user_gate report_gate{16, 3};
  /// Requests of this node that may yet give the first answer to a key, by caller and key.
  std::map<std::pair<std::string, std::string>, int> first_answers;
  /// Those that others with their key wait for.
  std::map<std::pair<std::string, std::string>, std::shared_ptr<answer_under_way>> answers_under_way;

  /// errc::overloaded at once when too many questions are open, or there is no provisioner.
  template <class R, class Message>
  asio::awaitable<result<R>> ask_provisioner(std::chrono::steady_clock::duration patience, Message message) {
    const auto place = provisioner_gate.enter();
    if (!place || !provisioner)
      co_return error{errc::overloaded, "too many requests are waiting"};
    co_return co_await services.asker.ask<R>(provisioner, patience, std::move(message));
  }

  /// Schedules or runs were changed: the timer that runs on this node looks at once.
  void tell_timer() const;
};

/// One request on its way through its route. It outlives the route's coroutine.
struct call {
  const http::request& request;
  /// Of the path, decoded, in the order of the pattern.
  std::vector<std::string> parameters;
  query_parameters query;
  /// Whose key it is; nullptr on open routes.
  const api_key* key = nullptr;
  /// Which of the route's media types the client wants.
  std::size_t media = 0;

  /// Whose servers it may see: nullopt for everybody's.
  std::optional<user_id> owner() const { return key->user; }
  requester by() const { return {key->caller(), request.request_id}; }
};

/// The server that the path names. errc::not_found for what can be none.
result<server_id> server_in_path(const call& c);

/// The same, read; another user's is none. errc::not_found.
asio::awaitable<result<server>> find_server(edge_state& edge, const call& c);

/// Why a user's key may not say whose things it wants.
error only_operators_name_users();

/// A JSON answer that nobody keeps.
http::response json_answer(http::status status, std::string body);

/// The body as one JSON object. errc::unsupported_media_type, errc::malformed_request with line and column,
/// errc::invalid_request when it is no object.
result<boost::json::object> read_body(const http::request& request);

/// The same; an empty object where there is no body.
result<boost::json::object> read_optional_body(const http::request& request);

/// The claim that an `Idempotency-Key` makes; nullopt without one. errc::malformed_request.
result<std::optional<idempotency_claim>> read_claim(const call& c);

/// `{"items": […], "nextCursor": …}` of at most `limit` of `items`; when there are more, `key_of` the last
/// one shown is where the next page begins.
template <class T, class Write, class Key>
http::response list_answer(std::string_view list, std::vector<T> items, int limit, Write write, Key key_of);

} // namespace skyengine::net::api

#include "net/api/cursor.hpp"
#include "net/api/json_writer.hpp"

namespace skyengine::net::api {

template <class T, class Write, class Key>
http::response list_answer(std::string_view list, std::vector<T> items, int limit, Write write, Key key_of) {
  const auto has_more = items.size() > static_cast<std::size_t>(limit);
  if (has_more)
    items.erase(items.begin() + limit, items.end());
  json_writer out{256 + items.size() * 384};
  out.begin_object();
  out.key("items");
  out.begin_array();
  for (const auto& item : items)
    write(out, item);
  out.end_array();
  if (has_more)
    out.member("nextCursor", make_cursor(list, key_of(items.back())));
  out.end_object();
  return json_answer(http::status::ok, std::move(out).take());
}

} // namespace skyengine::net::api
