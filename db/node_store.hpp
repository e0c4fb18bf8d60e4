#pragma once

#include "db/database.hpp"

#include <boost/asio/awaitable.hpp>

#include <chrono>
#include <cstdint>
#include <string>

namespace skyengine::db {

/// The nodes' leases, by the database's clock. The caller holds the session lock on the name.
class node_store {
public:
  explicit node_store(database& db) : db_(db) {}

  /// A new incarnation of `name`: a token that outdates every earlier one, and a lease of `span`.
  asio::awaitable<result<std::int64_t>> acquire(std::string name, std::chrono::seconds span, instant now);
  /// False when the lease has expired or another incarnation holds the name: acquire again, as a new one.
  asio::awaitable<result<bool>> renew(std::string name, std::int64_t token, std::chrono::seconds span);
  /// The token of the name's present incarnation; 0 when there never was one.
  asio::awaitable<result<std::int64_t>> token_of(std::string name);
  /// Hands the lease back: others may take over at once.
  asio::awaitable<result<>> release(std::string name, std::int64_t token);

private:
  database& db_;
};

} // namespace skyengine::db
