#pragma once

#include "db/database.hpp"
#include "domain/catalogue.hpp"

#include <boost/asio/awaitable.hpp>

#include <string>
#include <vector>

namespace skyengine::db {

/// What a write of the catalogue did.
enum class upsert : std::uint8_t { created, changed, unchanged };

/// Users, plans and regions: the operator's catalogue. Every write that changes something is in the audit
/// log, by `actor` (`operator`, or what the command line says of itself).
class catalogue_store {
public:
  explicit catalogue_store(database& db) : db_(db) {}

  asio::awaitable<result<upsert>> put_user(user value, std::string actor, instant now);
  /// Changed terms hold for new servers at once, and for billing from the next full hour. errc::conflict when
  /// the currency differs from the stored one.
  asio::awaitable<result<upsert>> put_plan(plan value, std::string actor, instant now);
  asio::awaitable<result<upsert>> put_region(region value, std::string actor, instant now);

  /// What became of each, in their order.
  struct all_done {
    std::vector<upsert> plans;
    std::vector<upsert> regions;
  };
  /// All of them or, with an error that names the first that cannot be, none. As `database::transact` where
  /// the outcome is not known.
  asio::awaitable<result<all_done>>
  put_all(std::vector<plan> plans, std::vector<region> regions, std::string actor, instant now);

  /// errc::not_found when there is none.
  asio::awaitable<result<user>> find_user(user_id id);
  asio::awaitable<result<plan>> find_plan(plan_id id);
  asio::awaitable<result<region>> find_region(region_id id);

  /// By id, those after `after`, at most `limit`.
  asio::awaitable<result<std::vector<user>>> list_users(user_id after, int limit);
  asio::awaitable<result<std::vector<plan>>> list_plans(plan_id after, int limit);
  asio::awaitable<result<std::vector<region>>> list_regions(region_id after, int limit);

private:
  database& db_;
};

} // namespace skyengine::db
