#include "tests/support/postgres_proxy.hpp"
#include "tests/support/provisioning_rig.hpp"
#include "tests/support/temporary_folder.hpp"

#include <boost/asio/co_spawn.hpp>
#include <caf/send.hpp>
#include <gtest/gtest.h>

#include <memory>
#include <optional>
#include <string>
#include <type_traits>
#include <vector>

namespace skyengine {
namespace {

namespace asio = boost::asio;
using namespace std::chrono_literals;
using test::provisioning_rig;
using test::simulated_panel;

/// The simulator's servers that are not deleted.
std::vector<boost::json::object> living(const simulated_panel& panel) {
  std::vector<boost::json::object> alive;
  const auto state = panel.state();
  for (const auto& server : state.at("servers").as_array())
    if (server.as_object().at("deletedAt").is_null())
      alive.push_back(server.as_object());
  return alive;
}

class Provisioning : public testing::Test {
protected:
  test::test_database database;
  simulated_panel panel{{"--build-time", "0", "--seed", "7"}};
};

TEST_F(Provisioning, ACreateBecomesActiveWithPasswordAndAddress) {
  provisioning_rig rig{database, panel};
  const auto created = rig.create(rig.order());
  ASSERT_TRUE(created) << created.error().detail;
  EXPECT_TRUE(created->is_decided);
  EXPECT_FALSE(created->password.empty());
  EXPECT_EQ(rig.wait_for(created->action).state, action_state::succeeded);
  const auto made = rig.server_of(created->action);
  EXPECT_EQ(made.state, server_state::active);
  EXPECT_FALSE(made.ipv4.empty());
  ASSERT_EQ(living(panel).size(), 1u);
  EXPECT_EQ(living(panel)[0].at("id").as_int64(), made.virtfusion_id->value);
}

/// A provisioner whose next order is stored while the answer to its COMMIT is lost: it learns of that when
/// `decide` is called, and a sweep begins the saga before.
class LostOrderCommit : public testing::Test {
protected:
  void begin(const simulated_panel& panel) {
    rig_ = std::make_unique<provisioning_rig>(database_, panel);
    auto& loop = rig_->runtime.loop();
    proxy_ = std::make_unique<test::postgres_proxy>(loop, folder_.path(), database_.url());
    auto options = database_.options();
    options.url = proxy_->url();
    db_ = std::make_unique<db::database>(loop.get_executor(), options);
    ASSERT_TRUE(test::run(loop, db_->connect()));
    servers_ = std::make_unique<db::server_store>(*db_);
    caf::anon_send_exit(rig_->provisioner, caf::exit_reason::kill);
    rig_->provisioner = actors::spawn_server_provisioner(rig_->runtime.system(), loop.get_executor(),
                                                         *servers_, rig_->services, {});
    caf::anon_send(rig_->provisioner, actors::lease_acquired{});
    proxy_->next_commit(test::postgres_proxy::at_commit::lose_answer);
    auto asked = rig_->runtime.asker().ask<actors::action_outcome>(rig_->provisioner, 1h,
                                                                   rig_->create_message(rig_->order(), 60s));
    asio::co_spawn(loop, std::move(asked), [this](std::exception_ptr, result<actors::action_outcome> answer) {
      answer_ = std::move(answer);
    });
    ASSERT_TRUE(test::run_until(loop, [&] { return proxy_->has_cut(); }));
    proxy_->accept(false);
    proxy_->cut_all();
  }

  bool wait_until_action_is(const std::string& column, const std::string& value) {
    return test::run_until(rig_->runtime.loop(), [&] {
      return test::run_sql(database_.url(), "SELECT " + column + " FROM actions") == value;
    });
  }

  void decide() {
    ASSERT_FALSE(answer_);
    proxy_->accept(true);
    ASSERT_TRUE(test::run_until(rig_->runtime.loop(), [&] { return answer_.has_value(); }));
    ASSERT_TRUE(*answer_) << answer_->error().detail;
  }

  void TearDown() override {
    if (db_)
      test::run(rig_->runtime.loop(), db_->close(1s));
  }

  test::test_database database_;
  test::temporary_folder folder_;
  std::unique_ptr<provisioning_rig> rig_;
  std::unique_ptr<test::postgres_proxy> proxy_;
  std::unique_ptr<db::database> db_;
  std::unique_ptr<db::server_store> servers_;
  std::optional<result<actors::action_outcome>> answer_;
};

TEST_F(LostOrderCommit, CostsItsOrdererNeitherPasswordNorPatience) {
  const simulated_panel slow{{"--build-time", "600"}};
  begin(slow);
  ASSERT_TRUE(wait_until_action_is("step", "building"));
  decide();
  EXPECT_TRUE((*answer_)->is_decided);
  EXPECT_FALSE((*answer_)->password.empty());
}

TEST_F(LostOrderCommit, OfWhatIsOverSinceIsAnsweredAndCountedOnce) {
  const simulated_panel panel{{"--build-time", "0"}};
  begin(panel);
  ASSERT_TRUE(wait_until_action_is("state", "succeeded"));
  const auto figures = [&] {
    return test::run(rig_->runtime.loop(), rig_->runtime.asker().ask<actors::provisioner_figures>(
                                             rig_->provisioner, 10s, actors::provisioner_figures_query{}));
  };
  ASSERT_TRUE(test::run_until(rig_->runtime.loop(), [&] { return figures()->open_creates == 0; }));
  decide();
  EXPECT_TRUE((*answer_)->is_decided);
  ASSERT_TRUE(test::run_until(rig_->runtime.loop(), [&] { return figures()->open_creates == 0; }));
  EXPECT_EQ(figures()->succeeded, 1u);
}

TEST_F(Provisioning, ALostAnswerIsAdopted) {
  provisioning_rig rig{database, panel};
  panel.add_fault({{"operation", "POST /servers"}, {"kind", "lost_answer"}, {"count", 1}});
  const auto created = rig.create(rig.order());
  ASSERT_TRUE(created) << created.error().detail;
  EXPECT_EQ(rig.wait_for(created->action).state, action_state::succeeded);
  EXPECT_EQ(living(panel).size(), 1u);
  EXPECT_EQ(panel.requests().at("byOperation").at("POST /servers").to_number<int>(), 1);
}

TEST_F(Provisioning, ALateEffectWithinTheSettleTimeIsAdopted) {
  provisioning_rig rig{database, panel};
  panel.add_fault({{"operation", "POST /servers"}, {"kind", "late_effect"}, {"count", 1}, {"delayMs", 900}});
  const auto created = rig.create(rig.order());
  ASSERT_TRUE(created) << created.error().detail;
  EXPECT_EQ(rig.wait_for(created->action).state, action_state::succeeded);
  EXPECT_EQ(living(panel).size(), 1u);
  EXPECT_EQ(panel.requests().at("byOperation").at("POST /servers").to_number<int>(), 1);
}

TEST_F(Provisioning, AnExtraOfARepeatIsDeletedByTheSecondLook) {
  provisioning_rig rig{database, panel};
  panel.add_fault(
    {{"operation", "POST /servers"}, {"kind", "late_effect"}, {"count", 1}, {"delayMs", 2'200}});
  const auto created = rig.create(rig.order());
  ASSERT_TRUE(created) << created.error().detail;
  EXPECT_EQ(rig.wait_for(created->action).state, action_state::succeeded);
  EXPECT_EQ(panel.requests().at("byOperation").at("POST /servers").to_number<int>(), 2);
  const auto kept = rig.server_of(created->action);
  EXPECT_TRUE(test::run_until(rig.runtime.loop(), [&] {
    return panel.requests().at("byOperation").as_object().contains("DELETE /servers/{serverId}") &&
           living(panel).size() == 1;
  }));
  EXPECT_EQ(living(panel)[0].at("id").as_int64(), kept.virtfusion_id->value);
}

TEST_F(Provisioning, AResetBeforeTheWorkIsRepeatedAfterTheSettleTime) {
  provisioning_rig rig{database, panel};
  panel.add_fault({{"operation", "POST /servers"}, {"kind", "reset"}, {"count", 1}});
  const auto created = rig.create(rig.order());
  ASSERT_TRUE(created) << created.error().detail;
  EXPECT_EQ(rig.wait_for(created->action).state, action_state::succeeded);
  EXPECT_EQ(living(panel).size(), 1u);
}

TEST_F(Provisioning, ABusyPanelIsAskedAgain) {
  provisioning_rig rig{database, panel};
  panel.add_fault({{"operation", "POST /servers"}, {"kind", "status"}, {"status", 503}, {"count", 2}});
  const auto created = rig.create(rig.order());
  ASSERT_TRUE(created) << created.error().detail;
  EXPECT_EQ(rig.wait_for(created->action).state, action_state::succeeded);
  EXPECT_EQ(living(panel).size(), 1u);
}

TEST_F(Provisioning, ALostBuildAnswerIsNotBuiltTwice) {
  provisioning_rig rig{database, panel};
  panel.add_fault({{"operation", "POST /servers/{serverId}/build"}, {"kind", "lost_answer"}, {"count", 1}});
  const auto created = rig.create(rig.order());
  ASSERT_TRUE(created) << created.error().detail;
  EXPECT_TRUE(created->password.empty());
  EXPECT_EQ(rig.wait_for(created->action).state, action_state::succeeded);
  EXPECT_EQ(panel.requests().at("byOperation").at("POST /servers/{serverId}/build").to_number<int>(), 1);
}

TEST_F(Provisioning, AFailedBuildIsTriedOnceMore) {
  provisioning_rig rig{database, panel};
  panel.add_fault({{"operation", "POST /servers/{serverId}/build"}, {"kind", "build_fails"}, {"count", 1}});
  const auto created = rig.create(rig.order());
  ASSERT_TRUE(created) << created.error().detail;
  EXPECT_EQ(rig.wait_for(created->action).state, action_state::succeeded);
  EXPECT_EQ(panel.requests().at("byOperation").at("POST /servers/{serverId}/build").to_number<int>(), 2);
}

TEST_F(Provisioning, ABuildThatFailsTwiceLeavesNothing) {
  provisioning_rig rig{database, panel};
  panel.add_fault({{"operation", "POST /servers/{serverId}/build"}, {"kind", "build_fails"}, {"count", 2}});
  const auto created = rig.create(rig.order());
  ASSERT_TRUE(created) << created.error().detail;
  const auto ended = rig.wait_for(created->action);
  EXPECT_EQ(ended.state, action_state::failed);
  EXPECT_EQ(ended.failure->code, errc::virtfusion_rejected);
  EXPECT_EQ(rig.server_of(created->action).state, server_state::failed);
  EXPECT_TRUE(living(panel).empty());
}

TEST_F(Provisioning, FullHypervisorsEndACreateAsFailed) {
  provisioning_rig rig{database, panel};
  std::vector<action_id> actions;
  for (int i = 0; i < 11; ++i) {
    const auto created = rig.create(rig.order(1 + i % 3, "tiny"));
    ASSERT_TRUE(created) << created.error().detail;
    actions.push_back(created->action);
  }
  const auto last = rig.wait_for(actions.back());
  EXPECT_EQ(last.state, action_state::failed);
  EXPECT_EQ(last.failure->code, errc::capacity_exhausted);
  EXPECT_EQ(living(panel).size(), 10u);
}

TEST_F(Provisioning, ADeleteRemovesTheServerFromBothSides) {
  provisioning_rig rig{database, panel};
  const auto created = rig.create(rig.order());
  ASSERT_TRUE(created);
  rig.wait_for(created->action);
  const auto server = rig.server_of(created->action);
  const auto deleted = rig.remove(server.id);
  ASSERT_TRUE(deleted) << deleted.error().detail;
  EXPECT_EQ(rig.load_server(server.id).state, server_state::deleting);
  EXPECT_EQ(rig.wait_for(deleted->id).state, action_state::succeeded);
  EXPECT_EQ(rig.load_server(server.id).state, server_state::deleted);
  EXPECT_TRUE(living(panel).empty());
  const auto again = rig.remove(server.id);
  ASSERT_FALSE(again);
  EXPECT_EQ(again.error().code, errc::conflict);
}

TEST_F(Provisioning, ADeleteOvertakesABuild) {
  simulated_panel slow{{"--build-time", "600"}};
  provisioning_rig rig{database, slow};
  const auto created = rig.create(rig.order());
  ASSERT_TRUE(created);
  const auto server = rig.server_of(created->action);
  EXPECT_EQ(server.state, server_state::building);
  const auto deleted = rig.remove(server.id);
  ASSERT_TRUE(deleted);
  EXPECT_EQ(deleted->state, action_state::pending);
  EXPECT_EQ(rig.wait_for(created->action).state, action_state::failed);
  slow.clear_faults();
  EXPECT_EQ(rig.load_server(server.id).state, server_state::deleting);
}

TEST_F(Provisioning, WhatComesToItsTurnTooLateIsDropped) {
  provisioning_rig rig{database, panel};
  const auto ask = [&]<class R, class Message>(std::type_identity<R>, Message message) {
    message.deadline = std::chrono::steady_clock::now() - 1ms;
    return test::run(rig.runtime.loop(),
                     rig.runtime.asker().ask<R>(rig.provisioner, 20s, std::move(message)));
  };
  const auto created =
    ask(std::type_identity<actors::action_outcome>{}, rig.create_message(rig.order(), 10s));
  ASSERT_FALSE(created);
  EXPECT_EQ(created.error().code, errc::deadline_exceeded);
  const auto joined = ask(std::type_identity<actors::action_outcome>{}, actors::join_action{{1}, {}});
  EXPECT_EQ(joined.error().code, errc::deadline_exceeded);
  const auto deleted =
    ask(std::type_identity<action>{},
        actors::delete_server{{1}, std::nullopt, {"operator", "test-request"}, std::nullopt});
  EXPECT_EQ(deleted.error().code, errc::deadline_exceeded);
  EXPECT_EQ(test::run_sql(database.url(), "SELECT count(*) FROM servers"), "0");
  const actors::provisioner_figures_query query;
  const auto figures = test::run(
    rig.runtime.loop(), rig.runtime.asker().ask<actors::provisioner_figures>(rig.provisioner, 20s, query));
  EXPECT_EQ(figures->deadline_dropped, 3u);
  EXPECT_EQ(figures->refused, 0u);
}

TEST_F(Provisioning, ManyCreatesOfOneUserAreMadeOneAtATime) {
  provisioning_rig rig{database, panel};
  panel.add_fault({{"operation", "POST /servers"}, {"kind", "lost_answer"}, {"share", 0.3}});
  std::vector<result<actors::action_outcome>> outcomes;
  for (int i = 0; i < 20; ++i)
    boost::asio::co_spawn(
      rig.runtime.loop(),
      rig.runtime.asker().ask<actors::action_outcome>(rig.provisioner, 60s,
                                                      rig.create_message(rig.order(1 + i % 2), 25s)),
      [&](std::exception_ptr, result<actors::action_outcome> outcome) { outcomes.push_back(outcome); });
  ASSERT_TRUE(test::run_until(rig.runtime.loop(), [&] { return outcomes.size() == 20; }));
  for (const auto& outcome : outcomes) {
    ASSERT_TRUE(outcome) << outcome.error().detail;
    EXPECT_EQ(rig.wait_for(outcome->action).state, action_state::succeeded);
  }
  EXPECT_EQ(living(panel).size(), 20u);
}

} // namespace
} // namespace skyengine
