#pragma once

#include "db/database.hpp"
#include "domain/api_key.hpp"
#include "domain/requester.hpp"

#include <boost/asio/awaitable.hpp>

#include <optional>
#include <string>
#include <vector>

namespace skyengine::db {

/// API keys by the hash of their secret; the secret itself is never here.
class api_key_store {
public:
  explicit api_key_store(database& db) : db_(db) {}

  /// `hash`: SHA-256 in hex. errc::conflict when the user is not there (detail `api_keys_user_id_fkey`) or
  /// the idempotency key is taken (detail `idempotency_keys_pkey`).
  asio::awaitable<result<api_key>> insert(std::string hash,
                                          std::string name,
                                          std::optional<user_id> user,
                                          std::vector<std::string> scopes,
                                          std::string actor,
                                          std::optional<idempotency_claim> claim,
                                          instant now);
  /// errc::not_found when there is none; revoked keys are found too.
  asio::awaitable<result<api_key>> find(api_key_id id);
  /// The key that is not revoked, by the hash of its secret; nullopt when there is none.
  asio::awaitable<result<std::optional<api_key>>> find_by_hash(std::string hash);
  /// By id, those after `after`, at most `limit`; revoked ones too.
  asio::awaitable<result<std::vector<api_key>>> list(api_key_id after, int limit);
  /// errc::not_found when there is none; revoking twice changes nothing. errc::conflict (detail
  /// `idempotency_keys_pkey`) when the idempotency key is taken.
  asio::awaitable<result<api_key>>
  revoke(api_key_id id, std::string actor, std::optional<idempotency_claim> claim, instant now);

private:
  database& db_;
};

} // namespace skyengine::db
