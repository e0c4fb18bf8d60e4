#include "net/api/api_key_secret.hpp"
#include "net/api/edge_state.hpp"
#include "net/api/records.hpp"
#include "net/api/replays.hpp"
#include "net/api/routes.hpp"

#include <algorithm>

namespace skyengine::net::api {

namespace {

/// A key gives no right that it does not have.
result<> check_granted(const api_key& giver, const api_key_draft& wanted) {
  if (!wanted.user && wanted.scopes.empty() && !giver.scopes.empty())
    return error{errc::forbidden, "a key with scopes makes none without"};
  for (const auto& scope : wanted.scopes)
    if (!giver.allows(scope))
      return error{errc::forbidden, "the key lacks the scope " + scope + ", which it would give away"};
  return {};
}

http::response created_answer(const api_key& key, const std::string& text) {
  json_writer out;
  write(out, key, text);
  auto answer = json_answer(http::status::created, std::move(out).take());
  answer.headers.set(http::field::location, "/v1/api-keys/" + std::to_string(key.id.value));
  return answer;
}

/// The key itself is not shown again.
asio::awaitable<result<http::response>>
replay_created(edge_state& edge, db::idempotency_binding bound, idempotency_claim claim, int own) {
  const auto key = co_await edge.api_keys.find(*bound.api_key);
  if (!key)
    co_return key.error();
  if (const auto kept = co_await keep_status(edge, claim, http::status::created); !kept)
    co_return kept.error();
  auto answer = created_answer(*key, {});
  if (bound.first_status || has_first_answer(edge, claim, own))
    mark_replayed(answer);
  co_return answer;
}

http::response revoked_answer() {
  http::response answer;
  answer.status = http::status::no_content;
  return answer;
}

} // namespace

answer post_api_key(edge_state& edge, const call& c) {
  const auto claim = read_claim(c);
  if (!claim)
    co_return claim.error();
  const auto earlier = co_await find_earlier(edge, *claim);
  if (!earlier)
    co_return earlier.error();
  if (*earlier)
    co_return co_await replay_created(edge, **earlier, **claim, 0);
  const auto body = read_body(c.request);
  if (!body)
    co_return body.error();
  field_faults faults;
  const auto wanted = parse_api_key(*body, faults);
  if (!faults.empty())
    co_return faults.as_error();
  if (const auto granted = check_granted(*c.key, wanted); !granted)
    co_return granted.error();
  const first_answer pending{edge, *claim};
  const auto text = make_api_key_secret();
  const auto stored =
    co_await edge.api_keys.insert(sha256_hex(text.reveal()), wanted.name, wanted.user, wanted.scopes,
                                  c.key->caller(), *claim, edge.services.business.now());
  if (!stored && is_key_taken(stored.error())) {
    const auto first = co_await find_earlier(edge, *claim);
    if (!first)
      co_return first.error();
    if (*first)
      co_return co_await replay_created(edge, **first, **claim, 1);
  }
  if (!stored && stored.error().detail == "api_keys_user_id_fkey")
    co_return error{errc::invalid_request,
                    "userId: there is no such user",
                    {{"userId", "there is no such user: make it by PUT /v1/users/{userId}"}}};
  if (!stored)
    co_return stored.error();
  if (const auto kept = co_await keep_status(edge, *claim, http::status::created); !kept)
    co_return kept.error();
  co_return created_answer(*stored, text.reveal());
}

answer get_api_key(edge_state& edge, const call& c) {
  const auto id = parse_id(c.parameters[0]);
  if (!id)
    co_return error{errc::not_found, "no such API key"};
  const auto found = co_await edge.api_keys.find({*id});
  if (!found)
    co_return found.error();
  json_writer out;
  write(out, *found);
  co_return json_answer(http::status::ok, std::move(out).take());
}

answer list_api_keys(edge_state& edge, const call& c) {
  static constexpr std::string_view list = "api-keys";
  const auto page = parse_id_page(list, c.query);
  if (!page)
    co_return page.error();
  const auto limit = page->first.limit;
  auto found = co_await edge.api_keys.list({page->second.value_or(0)}, limit + 1);
  if (!found)
    co_return found.error();
  co_return list_answer(
    list, std::move(*found), limit, [](json_writer& out, const api_key& one) { write(out, one); },
    [](const api_key& one) { return std::to_string(one.id.value); });
}

answer delete_api_key(edge_state& edge, const call& c) {
  const auto claim = read_claim(c);
  if (!claim)
    co_return claim.error();
  auto earlier = co_await find_earlier(edge, *claim);
  if (!earlier)
    co_return earlier.error();
  const auto id = parse_id(c.parameters[0]);
  if (!id)
    co_return error{errc::not_found, "no such API key"};
  if (!*earlier) {
    const auto revoked =
      co_await edge.api_keys.revoke({*id}, c.key->caller(), *claim, edge.services.business.now());
    // Somebody else was first with this key: a repeat, or another request.
    if (!revoked && is_key_taken(revoked.error()))
      earlier = co_await find_earlier(edge, *claim);
    if (!earlier)
      co_return earlier.error();
    if (!revoked && !*earlier)
      co_return revoked.error();
  }
  if (*earlier) {
    auto answer = revoked_answer();
    mark_replayed(answer);
    co_return answer;
  }
  // Its own node need not wait for the database to tell it.
  edge.keys.forget({*id});
  if (const auto kept = co_await keep_status(edge, *claim, http::status::no_content); !kept)
    co_return kept.error();
  co_return revoked_answer();
}

} // namespace skyengine::net::api
