#include "tests/torture/checks.hpp"

#include <boost/json.hpp>

#include <set>
#include <stdexcept>

namespace skyengine::torture {

namespace {

namespace json = boost::json;
using namespace std::chrono_literals;

struct row {
  std::int64_t id = 0;
  std::int64_t user = 0;
  std::int64_t action = 0;
  std::int64_t panel_id = 0;
  std::string state;
  std::string plan;
};

bool is_final(const std::string& state) {
  return state == "active" || state == "suspended" || state == "failed" || state == "deleted";
}

bool is_alive(const row& one) {
  return one.state != "failed" && one.state != "deleted";
}

std::int64_t number_of(const json::object& record, const char* name) {
  const auto* found = record.if_contains(name);
  return found != nullptr && found->is_number() ? found->to_number<std::int64_t>() : 0;
}

std::string text_of(const json::object& record, const char* name) {
  const auto* found = record.if_contains(name);
  return found != nullptr && found->is_string() ? std::string{found->as_string()} : std::string{};
}

/// All servers as the API lists them.
std::map<std::int64_t, row> all_rows(world& after) {
  std::map<std::int64_t, row> rows;
  std::string cursor;
  do {
    const auto page = after.engine().call(
      "GET", "/v1/servers?limit=200" + (cursor.empty() ? "" : "&cursor=" + cursor), after.key());
    if (page.status != 200)
      throw std::runtime_error{"the servers cannot be listed: " + std::to_string(page.status) + ' ' +
                               page.body + page.failure};
    const auto parsed = page.json();
    const auto& list = parsed.as_object();
    for (const auto& item : list.at("items").as_array()) {
      const auto& record = item.as_object();
      row one{number_of(record, "id"),           number_of(record, "userId"), number_of(record, "actionId"),
              number_of(record, "virtfusionId"), text_of(record, "state"),    text_of(record, "planId")};
      rows[one.id] = one;
    }
    cursor = text_of(list, "nextCursor");
  } while (!cursor.empty());
  return rows;
}

/// What is still under way; empty when everything has ended.
std::string unfinished(world& after) {
  std::string what;
  for (const auto& [id, one] : all_rows(after))
    if (!is_final(one.state))
      what += " server " + std::to_string(id) + " is " + one.state + ';';
  if (number_of(after.panel().requests(), "inFlight") > 0)
    what += " the panel works on something;";
  // Active and suspended servers may be on their way to something else.
  if (!after.database_url().empty())
    if (const auto open = test::run_sql(after.database_url(),
                                        "SELECT count(*) FROM actions WHERE state IN ('pending', 'running')");
        open != "0")
      what += " actions are open: " + open + ';';
  // Second looks outlive the servers that they belong to.
  if (!after.database_url().empty())
    if (const auto due = test::run_sql(
          after.database_url(), "SELECT count(*) FROM create_attempts WHERE second_look_at IS NOT NULL");
        due != "0")
      what += " second looks are due: " + due + ';';
  return what;
}

/// Empty, or what had not ended after `patience`.
std::string wait_until_finished(world& after, std::chrono::milliseconds patience) {
  const auto limit = std::chrono::steady_clock::now() + patience;
  for (;;) {
    auto left = unfinished(after);
    if (left.empty() || std::chrono::steady_clock::now() >= limit)
      return left;
    if (const auto ended = after.engine().child().wait(200ms))
      return " the engine has ended by itself with " + std::to_string(*ended);
  }
}

std::string server_name(const json::object& theirs) {
  return "VirtFusion's server " + std::to_string(number_of(theirs, "id")) + " (user " +
         std::to_string(number_of(theirs, "extRelationId")) + ", " + text_of(theirs, "state") + ", " +
         std::to_string(number_of(theirs, "builds")) + " builds)";
}

void compare_sides(const json::array& panel,
                   const std::map<std::int64_t, row>& rows,
                   std::vector<std::string>& found) {
  std::map<std::int64_t, const row*> owners;
  for (const auto& [id, one] : rows) {
    if (!is_alive(one) || one.panel_id == 0)
      continue;
    if (const auto [place, is_first] = owners.emplace(one.panel_id, &one); !is_first)
      found.push_back("servers " + std::to_string(place->second->id) + " and " + std::to_string(id) +
                      " share VirtFusion's " + std::to_string(one.panel_id));
  }
  std::set<std::int64_t> living;
  for (const auto& entry : panel) {
    const auto& theirs = entry.as_object();
    if (!theirs.at("deletedAt").is_null())
      continue;
    const auto id = number_of(theirs, "id");
    living.insert(id);
    const auto owner = owners.find(id);
    if (owner == owners.end()) {
      found.push_back(server_name(theirs) + " has no living row");
      continue;
    }
    const auto& ours = *owner->second;
    if (ours.user != number_of(theirs, "extRelationId"))
      found.push_back(server_name(theirs) + " is server " + std::to_string(ours.id) + " of user " +
                      std::to_string(ours.user));
    if (number_of(theirs, "packageId") != (ours.plan == "small" ? 1 : 2))
      found.push_back(server_name(theirs) + " has not the package of server " + std::to_string(ours.id));
    if (is_alive(ours) && (ours.state == "suspended") != theirs.at("suspended").as_bool())
      found.push_back(server_name(theirs) + " is our " + ours.state + " server " + std::to_string(ours.id) +
                      (theirs.at("suspended").as_bool() ? ", and is suspended" : ", and is not suspended"));
    if (ours.state == "active" && text_of(theirs, "state") != "complete")
      found.push_back(server_name(theirs) + " is our active server " + std::to_string(ours.id));
  }
  for (const auto& [id, one] : rows)
    if (one.state == "active" && !living.contains(one.panel_id))
      found.push_back("active server " + std::to_string(id) + " is VirtFusion's " +
                      std::to_string(one.panel_id) + ", which is not there");
}

/// Why a create ended as it did, for whoever reads the difference.
std::string reason_of(world& after, std::int64_t action) {
  return test::run_sql(after.database_url(),
                       "SELECT coalesce(error_code, '') || ' ' || coalesce(error_detail, '') FROM actions "
                       "WHERE id = " +
                         std::to_string(action));
}

void compare_history(world& after,
                     const history& told,
                     const std::map<std::int64_t, row>& rows,
                     const check_options& options,
                     std::vector<std::string>& found) {
  std::set<std::string> orders;
  for (const auto& [id, known] : told.servers()) {
    const auto name = "server " + std::to_string(id);
    const auto place = rows.find(id);
    if (place == rows.end()) {
      found.push_back(name + " was acknowledged and is missing");
      continue;
    }
    const auto& ours = place->second;
    if (ours.user != known.user)
      found.push_back(name + " was ordered for user " + std::to_string(known.user) + " and is of user " +
                      std::to_string(ours.user));
    if (known.orders.size() != 1)
      found.push_back(name + " was the answer to " + std::to_string(known.orders.size()) + " orders");
    for (const auto& order : known.orders)
      if (!orders.insert(order).second)
        found.push_back(order + " was answered with several servers");
    if (known.passwords > 1)
      found.push_back(name + " had its root password shown " + std::to_string(known.passwords) + " times");
    if (known.is_delete_acknowledged && ours.state != "deleted")
      found.push_back(name + " was to be deleted and is " + ours.state);
    if (!known.is_delete_acknowledged && ours.state == "deleted")
      found.push_back(name + " is deleted, which nobody wanted");
    if (known.is_told_failed && ours.state != "failed")
      found.push_back(name + " was told to have failed and is " + ours.state);
    if (ours.state == "failed" && !options.may_fail)
      found.push_back(
        name + " failed: " + (after.database_url().empty() ? std::string{} : reason_of(after, known.action)));
  }
  for (const auto& [id, one] : rows)
    if (!told.servers().contains(id))
      found.push_back("server " + std::to_string(id) + " (" + one.state + ") was never acknowledged");
}

} // namespace

std::vector<std::string>
leaks(const std::vector<std::string>& secrets, const std::string& text, const std::string& where) {
  std::vector<std::string> found;
  for (std::size_t i = 0; i < secrets.size(); ++i)
    if (text.find(secrets[i]) != std::string::npos)
      found.push_back("secret " + std::to_string(i) + " stands in " + where);
  return found;
}

std::vector<std::string>
differences(world& after, const history& told, check_options options, outcome_figures* figures) {
  auto found = told.complaints();
  if (const auto left = wait_until_finished(after, options.patience); !left.empty())
    found.push_back("not over after " + std::to_string(options.patience.count() / 1000) + " s:" + left);
  const auto audit = after.engine().run({"audit"});
  if (audit.code != 0)
    found.push_back("audit exits " + std::to_string(audit.code) + ":\n" + audit.output);
  const auto rows = all_rows(after);
  const auto panel = after.panel().state();
  const auto& theirs = panel.at("servers").as_array();
  compare_sides(theirs, rows, found);
  compare_history(after, told, rows, options, found);
  auto secrets = after.secrets();
  for (auto& password : told.passwords())
    secrets.push_back(std::move(password));
  for (std::size_t i = 0; i < after.engines(); ++i) {
    const auto more = leaks(secrets, after.engine(i).log(), "the log of engine " + std::to_string(i + 1));
    found.insert(found.end(), more.begin(), more.end());
  }
  if (figures != nullptr) {
    for (const auto& [id, one] : rows)
      ++figures->servers_by_state[one.state];
    for (const auto& entry : theirs)
      figures->living_in_panel += entry.as_object().at("deletedAt").is_null() ? 1 : 0;
  }
  return found;
}

} // namespace skyengine::torture
