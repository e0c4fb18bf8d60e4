#include "tests/torture/bill_check.hpp"

#include "tests/support/postgres.hpp"
#include "tests/torture/rows.hpp"

#include <boost/multiprecision/cpp_int.hpp>

#include <algorithm>
#include <map>
#include <optional>
#include <set>
#include <utility>

namespace skyengine::torture {

namespace {

namespace json = boost::json;
using boost::multiprecision::cpp_int;
using boost::multiprecision::cpp_rational;

/// Seconds since 1970 (UTC).
using moment = std::int64_t;
constexpr moment hour = 3'600;

struct price {
  moment from = 0;
  std::int64_t micros = 0;
  std::int64_t hours = 730;
  bool is_uptime = false;

  auto operator<=>(const price&) const = default;
};

struct look {
  moment first = 0;
  moment last = 0;
  bool is_on = false;
};

struct change {
  moment at = 0;
  bool is_active = false;
  std::string plan;
};

struct hold {
  moment from = 0;
  moment until = 0;
};

struct life {
  std::int64_t id = 0;
  std::int64_t user = 0;
  std::vector<change> changes;
  std::vector<hold> holds;
  std::vector<look> looks;
};

/// When the months between two moments begin, as PostgreSQL's calendar has them.
std::vector<moment> months_between(const std::string& url, moment from, moment until) {
  std::vector<moment> months;
  for (const auto& row : rows_of(
         url,
         "SELECT extract(epoch FROM m)::bigint AS at FROM generate_series(date_trunc('month', to_timestamp(" +
           std::to_string(from) + ")), to_timestamp(" + std::to_string(until) +
           ") + interval '1 month', interval '1 month') AS m"))
    months.push_back(number(row, "at"));
  return months;
}

class reckoning {
public:
  reckoning(const std::string& url, bill_figures& figures) : url_(url), figures_(figures) {
    for (const auto& row :
         rows_of(url, "SELECT plan_id, " + time_text("valid_from") +
                        " AS at, price_micros, hours_per_month, basis FROM plan_prices ORDER BY 1, 2"))
      prices_[text(row, "plan_id")].push_back({number(row, "at"), number(row, "price_micros"),
                                               number(row, "hours_per_month"),
                                               text(row, "basis") == "uptime"});
    for (const auto& row :
         rows_of(url, "SELECT user_id, " + time_text("closed_until") + " AS at FROM billing_accounts"))
      closed_[number(row, "user_id")] = number(row, "at");
    for (const auto& row : rows_of(
           url, "SELECT server_id, " + time_text("date_trunc('month', hour)") +
                  " AS month, sum(amount_micros) AS micros, sum(seconds) AS seconds, count(*) AS n, "
                  "count(*) FILTER (WHERE amount_micros < 0) AS negative, count(DISTINCT hour) AS hours "
                  "FROM charges GROUP BY 1, 2"))
      add_charged(row, figures_.charges);
    for (const auto& row : rows_of(url, "SELECT server_id, " + time_text("month") +
                                          " AS month, sum(amount_micros) AS micros, sum(seconds) AS seconds, "
                                          "count(*) AS n, 0 AS negative, count(*) AS hours "
                                          "FROM charge_corrections GROUP BY 1, 2"))
      add_charged(row, figures_.corrections);
  }

  std::vector<std::string> run() {
    if (const auto late = test::run_sql(url_, "SELECT count(*) FROM billing_rechecks"); late != "0")
      differences_.push_back(late + " late facts are not corrected yet");
    for (const auto& one : lives())
      check(one);
    for (const auto& [of, sum] : charged_)
      differences_.push_back("server " + std::to_string(of.first) +
                             " was charged for a month of which nothing is known");
    const auto unbilled = test::run_sql(url_, "SELECT coalesce(sum(unbilled_micros), 0) FROM user_balances");
    if (unbilled != std::to_string(figures_.total_micros))
      differences_.push_back("the balances sum to " + unbilled + ", the bills to " +
                             std::to_string(figures_.total_micros));
    return differences_;
  }

private:
  struct sums {
    std::int64_t micros = 0;
    std::int64_t seconds = 0;
  };

  void add_charged(const json::value& row, std::int64_t& count) {
    auto& one = charged_[{number(row, "server_id"), number(row, "month")}];
    one.micros += number(row, "micros");
    one.seconds += number(row, "seconds");
    count += number(row, "n");
    figures_.negative += number(row, "negative");
    if (number(row, "n") != number(row, "hours"))
      differences_.push_back("server " + std::to_string(number(row, "server_id")) +
                             " has an hour with two charges");
  }

  std::vector<life> lives() const {
    std::map<std::int64_t, life> all;
    std::map<std::int64_t, std::string> plans;
    for (const auto& row : rows_of(url_, "SELECT id, user_id, plan_id FROM servers")) {
      auto& one = all[number(row, "id")];
      one.id = number(row, "id");
      one.user = number(row, "user_id");
      plans[one.id] = text(row, "plan_id");
    }
    // The plan that a server began with is the one that its first change of plan led away from.
    for (const auto& row :
         rows_of(url_, "SELECT DISTINCT ON (server_id) server_id, from_plan FROM server_events WHERE "
                       "from_plan IS NOT NULL ORDER BY server_id, id"))
      plans[number(row, "server_id")] = text(row, "from_plan");
    for (const auto& row :
         rows_of(url_, "SELECT server_id, " + time_text("at") +
                         " AS at, to_state, to_plan FROM server_events ORDER BY server_id, id")) {
      auto& plan = plans[number(row, "server_id")];
      if (const auto& to = row.as_object().at("to_plan"); to.is_string())
        plan = std::string{to.as_string()};
      all[number(row, "server_id")].changes.push_back(
        {number(row, "at"), text(row, "to_state") == "active", plan});
    }
    for (const auto& row : rows_of(
           url_, "SELECT s.id, " + time_text("h.from_at") + " AS from_at, coalesce(" +
                   time_text("h.until_at") +
                   ", 99999999999) AS until_at FROM holds h JOIN servers s ON s.user_id = h.user_id AND "
                   "(h.server_id IS NULL OR h.server_id = s.id) WHERE h.outcome IS DISTINCT FROM 'released'"))
      all[number(row, "id")].holds.push_back({number(row, "from_at"), number(row, "until_at")});
    for (const auto& row :
         rows_of(url_, "SELECT server_id, " + time_text("first_seen") + " AS first, " +
                         time_text("last_seen") + " AS last, is_on FROM power_spans ORDER BY 1, 2"))
      all[number(row, "server_id")].looks.push_back(
        {number(row, "first"), number(row, "last"), row.as_object().at("is_on").as_bool()});
    std::vector<life> list;
    list.reserve(all.size());
    for (auto& [id, one] : all)
      list.push_back(std::move(one));
    return list;
  }

  /// What is paid for in the second that begins with `at`; nullptr for nothing.
  const price* paid_at(const life& one, moment at) const {
    const change* now = nullptr;
    for (const auto& event : one.changes)
      if (event.at <= at)
        now = &event;
    if (now == nullptr || !now->is_active)
      return nullptr;
    for (const auto& held : one.holds)
      if (held.from <= at && at < held.until)
        return nullptr;
    const auto& list = prices_.at(now->plan);
    const auto* terms = &list.front();
    for (const auto& version : list)
      if (version.from <= at)
        terms = &version;
    if (!terms->is_uptime)
      return terms;
    const look* before = nullptr;
    auto is_observed = false;
    for (const auto& seen : one.looks) {
      is_observed = is_observed || (seen.first / hour <= at / hour && at / hour <= seen.last / hour);
      if (seen.first <= at)
        before = &seen;
    }
    return !is_observed || before == nullptr || before->is_on ? terms : nullptr;
  }

  /// Between two of them nothing changes.
  std::set<moment>
  turns(const life& one, moment from, moment until, const std::vector<moment>& months) const {
    std::set<moment> all{months.begin(), months.end()};
    for (const auto& event : one.changes)
      all.insert(event.at);
    for (const auto& [plan, list] : prices_)
      for (const auto& version : list)
        all.insert(version.from);
    for (const auto& held : one.holds) {
      all.insert(held.from);
      all.insert(held.until);
    }
    if (!one.looks.empty())
      for (auto at = from / hour * hour; at < until; at += hour)
        all.insert(at);
    for (const auto& seen : one.looks)
      all.insert(seen.first);
    all.erase(all.begin(), all.lower_bound(from));
    all.erase(all.lower_bound(until), all.end());
    all.insert(from);
    all.insert(until);
    return all;
  }

  void check(const life& one) {
    if (one.changes.empty() || !closed_.contains(one.user))
      return;
    const auto until = closed_.at(one.user);
    const auto from = one.changes.front().at;
    if (from >= until)
      return;
    ++figures_.servers;
    const auto months = months_between(url_, from, until);
    std::map<moment, std::map<price, std::int64_t>> seconds;
    const auto all = turns(one, from, until, months);
    for (auto at = all.begin(); std::next(at) != all.end(); ++at)
      if (const auto* terms = paid_at(one, *at)) {
        const auto month = std::prev(std::upper_bound(months.begin(), months.end(), *at));
        seconds[*month][*terms] += *std::next(at) - *at;
      }
    for (const auto month : months) {
      const auto charged = charged_.extract({one.id, month});
      const auto told = charged ? charged.mapped() : sums{};
      sums expected;
      cpp_rational cost = 0;
      std::int64_t dearest = 0;
      for (const auto& [terms, length] : seconds[month]) {
        expected.seconds += length;
        cost += cpp_rational{cpp_int{terms.micros} * length, cpp_int{terms.hours} * hour};
        dearest = std::max(dearest, terms.micros);
      }
      // Half up: the floor of twice the sum and one, halved.
      const cpp_int rounded = (2 * numerator(cost) + denominator(cost)) / (2 * denominator(cost));
      expected.micros = static_cast<std::int64_t>(std::min(rounded, cpp_int{dearest}));
      figures_.months += expected.seconds > 0 ? 1 : 0;
      figures_.total_micros += expected.micros;
      if (expected.micros != told.micros || expected.seconds != told.seconds)
        differences_.push_back("server " + std::to_string(one.id) + " was charged " +
                               std::to_string(told.micros) + " for " + std::to_string(told.seconds) +
                               " s of the month from " + std::to_string(month) + ", which comes to " +
                               std::to_string(expected.micros) + " for " + std::to_string(expected.seconds) +
                               " s");
    }
  }

  std::string url_;
  bill_figures& figures_;
  std::map<std::string, std::vector<price>> prices_;
  std::map<std::int64_t, moment> closed_;
  std::map<std::pair<std::int64_t, moment>, sums> charged_;
  std::vector<std::string> differences_;
};

} // namespace

std::vector<std::string> bill_differences(const std::string& database_url, bill_figures& figures) {
  return reckoning{database_url, figures}.run();
}

} // namespace skyengine::torture
