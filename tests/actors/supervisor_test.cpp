#include "actors/runtime/prepare.hpp"
#include "actors/supervisor.hpp"
#include "tests/support/virtual_runtime.hpp"

#include <caf/event_based_actor.hpp>
#include <caf/send.hpp>
#include <gtest/gtest.h>

#include <stdexcept>
#include <string>
#include <vector>

namespace skyengine::actors {
namespace {

using namespace std::chrono_literals;

/// Throws on any number but 0.
caf::behavior fragile(caf::event_based_actor* self) {
  runtime::prepare(self);
  return {[](int n) {
    if (n != 0)
      throw std::runtime_error("broken");
  }};
}

class Supervisor : public test::virtual_runtime {
protected:
  std::vector<caf::actor> started_first;
  std::vector<caf::actor> started_second;
  std::vector<std::string> ended;
  std::string escalated;
  supervisor_actor supervisor;

  Supervisor() : supervisor(spawn()) {}

  supervisor_actor spawn() {
    return spawn_supervisor(runtime.system(), runtime.timers(),
                            {child("first", started_first), child("second", started_second)}, {},
                            [this](std::string why) { escalated = std::move(why); });
  }

  child_spec child(std::string name, std::vector<caf::actor>& started) {
    return {name, [this, name, &started] {
              started.push_back(runtime.system().spawn(fragile));
              started.back()->attach_functor([this, name] { ended.push_back(name); });
              return caf::actor_cast<caf::strong_actor_ptr>(started.back());
            }};
  }

  void SetUp() override { settle(); }

  void TearDown() override {
    const auto stopped = virtual_runtime::spawn(runtime.asker().ask<void>(supervisor, 1min, stop_children{}));
    advance(20s);
    caf::anon_send_exit(supervisor, caf::exit_reason::user_shutdown);
    started_first.clear();
    started_second.clear();
    settle();
  }

  void break_newest(std::vector<caf::actor>& started) {
    caf::anon_send(started.back(), 1);
    settle();
  }
};

TEST_F(Supervisor, StartsAllChildren) {
  EXPECT_EQ(started_first.size(), 1u);
  EXPECT_EQ(started_second.size(), 1u);
}

TEST_F(Supervisor, RestartsTheOneThatEndedAfterAPause) {
  break_newest(started_second);
  EXPECT_EQ(started_second.size(), 1u);
  advance(100ms);
  EXPECT_EQ(started_second.size(), 2u);
  EXPECT_EQ(started_first.size(), 1u);
}

TEST_F(Supervisor, WaitsLongerEachTime) {
  break_newest(started_first);
  advance(100ms);
  break_newest(started_first);
  advance(199ms);
  EXPECT_EQ(started_first.size(), 2u);
  advance(1ms);
  EXPECT_EQ(started_first.size(), 3u);
}

TEST_F(Supervisor, EscalatesWhenRestartsDoNotHelp) {
  for (int i = 0; i < 6; ++i) {
    break_newest(started_first);
    advance(9s);
  }
  EXPECT_NE(escalated.find("first"), std::string::npos);
}

TEST_F(Supervisor, OldFallsAreForgotten) {
  for (int i = 0; i < 8; ++i) {
    break_newest(started_first);
    advance(61s);
  }
  EXPECT_EQ(escalated, "");
  EXPECT_EQ(started_first.size(), 9u);
}

TEST_F(Supervisor, StopsInReverseOrder) {
  const auto stopped = virtual_runtime::spawn(runtime.asker().ask<void>(supervisor, 1min, stop_children{}));
  ASSERT_TRUE(stopped->value.has_value());
  EXPECT_TRUE(stopped->value->has_value());
  EXPECT_EQ(ended, (std::vector<std::string>{"second", "first"}));
}

TEST_F(Supervisor, CountsRestarts) {
  break_newest(started_second);
  const auto counts =
    virtual_runtime::spawn(runtime.asker().ask<restart_counts>(supervisor, 1s, restart_counts_query{}));
  ASSERT_TRUE(counts->value.has_value());
  EXPECT_EQ((*counts->value)->children[0].restarts, 0u);
  EXPECT_EQ((*counts->value)->children[1].restarts, 1u);
}

// As an engine does that is interrupted while it starts.
TEST_F(Supervisor, ThatIsEndedBeforeItHasBegunLeavesNoChild) {
  const auto before = ended.size();
  auto late = spawn();
  caf::anon_send_exit(late, caf::exit_reason::user_shutdown);
  late = nullptr;
  settle();
  EXPECT_EQ(ended.size(), before + 2);
}

} // namespace
} // namespace skyengine::actors
