#include "domain/server_lifecycle.hpp"

#include <gtest/gtest.h>

#include <set>
#include <string>
#include <utility>

namespace skyengine {
namespace {

using enum server_state;
constexpr server_state all_states[] = {requested, creating,  building, active,
                                       failed,    suspended, deleting, deleted};

TEST(ServerState, ItsTextIsReadBack) {
  std::set<std::string_view> texts;
  for (const auto state : all_states) {
    EXPECT_EQ(parse_server_state(to_string(state)), state);
    texts.insert(to_string(state));
  }
  EXPECT_EQ(texts.size(), 8U);
  EXPECT_EQ(to_string(requested), "requested");
  EXPECT_EQ(to_string(deleted), "deleted");
  for (const auto* text : {"", "Active", "active ", "gone"})
    EXPECT_EQ(parse_server_state(text), std::nullopt) << text;
}

TEST(ServerState, TakesTheseStepsAndNoOthers) {
  const std::set<std::pair<server_state, server_state>> allowed = {
    {requested, creating}, {requested, failed}, {requested, deleting}, {requested, deleted},
    {creating, building},  {creating, failed},  {creating, deleting},  {creating, deleted},
    {building, active},    {building, failed},  {building, deleting},  {active, suspended},
    {active, deleting},    {suspended, active}, {suspended, deleting}, {failed, deleting},
    {deleting, deleted},   {deleting, active},  {deleting, suspended}, {active, deleted},
    {suspended, deleted},
  };
  for (const auto from : all_states)
    for (const auto to : all_states)
      EXPECT_EQ(may_become(from, to), allowed.contains({from, to}))
        << to_string(from) << " -> " << to_string(to);
}

TEST(Power, ItsTextsAreReadBack) {
  for (const auto state : {power_state::unknown, power_state::on, power_state::off})
    EXPECT_EQ(parse_power_state(to_string(state)), state);
  for (const auto action :
       {power_action::boot, power_action::shutdown, power_action::restart, power_action::poweroff})
    EXPECT_EQ(parse_power_action(to_string(action)), action);
  EXPECT_EQ(to_string(power_state::off), "off");
  EXPECT_EQ(to_string(power_action::poweroff), "poweroff");
  EXPECT_EQ(parse_power_state("On"), std::nullopt);
  EXPECT_EQ(parse_power_action("reboot"), std::nullopt);
}

} // namespace
} // namespace skyengine
