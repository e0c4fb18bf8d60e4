#pragma once

#include "db/database.hpp"
#include "domain/billing.hpp"

#include <boost/asio/awaitable.hpp>

#include <chrono>
#include <cstdint>
#include <map>
#include <set>
#include <string>
#include <vector>

/// What an hour is rated by, as the tables have it; read inside the transaction that closes the hour, after
/// the users' accounts are claimed.
namespace skyengine::db {

struct loaded_prices {
  price_lists lists;
  std::map<plan_id, std::string> currencies;
};

asio::awaitable<result<loaded_prices>> load_prices_of(transaction& t, const std::set<plan_id>& plans);

struct loaded_servers {
  std::vector<billed_server> servers;
  /// Those that a fact which came late is known of.
  std::vector<std::int64_t> rechecked;
};

/// All servers of `users` that there is something to look at of when `hour` is closed; `power` is not read
/// yet.
asio::awaitable<result<loaded_servers>>
load_servers_of(transaction& t, const std::vector<std::int64_t>& users, std::chrono::sys_seconds hour);

/// Every server there is or was, by id, those after `after`, with all that is known of its life; nothing of
/// what was charged.
asio::awaitable<result<loaded_servers>> load_servers_after(transaction& t, server_id after, int limit);

/// What was seen since then of those that have been on `uptime` terms, and the look before it. Of months to
/// correct it is seen from their beginning on.
asio::awaitable<result<>> load_power_of(transaction& t,
                                        std::vector<billed_server>& servers,
                                        const price_lists& prices,
                                        std::chrono::sys_seconds since);

/// The plans that servers have been on.
void add_plans_of(const std::vector<billed_server>& servers, std::set<plan_id>& plans);

} // namespace skyengine::db
