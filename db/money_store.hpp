#pragma once

#include "db/database.hpp"
#include "domain/catalogue.hpp"
#include "domain/ids.hpp"
#include "domain/invoice.hpp"
#include "domain/money.hpp"

#include <boost/asio/awaitable.hpp>

#include <chrono>
#include <cstdint>
#include <map>
#include <optional>
#include <vector>

namespace skyengine::db {

/// Where something stands among a server's charges and corrections.
struct charge_position {
  std::chrono::sys_seconds hour;
  /// Of a correction; the epoch for a charge.
  std::chrono::sys_seconds month;
};

/// [from, to), by hour, behind a position.
struct charge_range {
  std::chrono::sys_seconds from;
  std::chrono::sys_seconds to;
  std::optional<charge_position> after;
};

/// A charge, or a correction of a month that was over.
struct posted_charge {
  /// Of a correction the hour that it was posted with.
  std::chrono::sys_seconds hour;
  /// Of a correction.
  std::optional<std::chrono::sys_seconds> month;
  plan_id plan;
  currency_code currency;
  std::int64_t seconds = 0;
  money amount;
  /// Of a charge.
  billing_basis basis = billing_basis::allocated;
  bool is_estimated = false;
};

/// What a user owes in one currency.
struct balance {
  currency_code currency;
  /// Charged, on no invoice yet.
  money unbilled;
  /// On invoices that are not paid.
  money open;
  /// Paid and not used.
  money credit;
};

struct plan_usage {
  plan_id plan;
  std::int64_t seconds = 0;
  money sum;
};

/// What one server's month has come to in one currency, corrections included.
struct server_usage {
  server_id server;
  currency_code currency;
  /// At least one.
  std::vector<plan_usage> plans;
};

struct day_usage {
  std::chrono::sys_days day;
  money sum;
};

struct currency_usage {
  currency_code currency;
  /// Of the days and the corrections.
  money so_far;
  /// What it will come to if everything stays as it is; of a month that is over `so_far`.
  money forecast;
  /// What was corrected after the month was over; of no day.
  money corrections;
  /// In order; those on which nothing was charged are left out.
  std::vector<day_usage> days;
};

struct month_usage {
  /// The user's own.
  currency_code currency;
  /// By code; none when nothing was and will be charged.
  std::vector<currency_usage> currencies;
  /// A page of them, by id.
  std::vector<server_usage> servers;
  bool has_more_servers = false;
};

enum class month_state : std::uint8_t { over, present };

/// Reads what was charged. All of one answer is as of the same closed hour: charges and corrections up to it
/// never change.
class money_store {
public:
  explicit money_store(database& db) : db_(db) {}

  /// Oldest first, at most `limit`; of one hour the charge before the corrections.
  asio::awaitable<result<std::vector<posted_charge>>>
  charges_of(server_id server, charge_range range, int limit);

  /// By currency. errc::not_found when there is no such user.
  asio::awaitable<result<std::vector<balance>>> balances_of(user_id user);

  /// `month` is its beginning; at most `limit` servers, those after `after`. errc::not_found when there is no
  /// such user.
  asio::awaitable<result<month_usage>>
  usage_of(user_id user, std::chrono::sys_seconds month, month_state state, server_id after, int limit);

  /// What the invoices of a month would be with what is charged until now, one for each currency, by code.
  /// errc::not_found when there is no such user.
  asio::awaitable<result<std::vector<invoice>>> preview_invoices(user_id user,
                                                                 std::chrono::sys_seconds month);

private:
  database& db_;
};

} // namespace skyengine::db
