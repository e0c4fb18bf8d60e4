#include "domain/class_queues.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace skyengine {
namespace {

using namespace std::chrono_literals;
using testing::ElementsAre;
using testing::IsEmpty;
using time_point = std::chrono::steady_clock::time_point;
using enum call_class;

constexpr time_point start{1000s};

class ClassQueues : public testing::Test {
protected:
  class_queues<std::string> queues{{{3, 3, 3, 3}}};

  class_queues<std::string>::entry
  make(call_class which, std::string name, time_point deadline = start + 1h) {
    return {queues.next_ticket(), which, deadline, std::move(name)};
  }
  void push(call_class which, std::string name, time_point deadline = start + 1h) {
    queues.push(make(which, std::move(name), deadline));
  }
  std::optional<call_class> next(std::size_t polls = 1, std::size_t limit = 16) {
    return queues.next(polls, limit, [](call_class) { return false; });
  }
  static std::vector<std::string> names(const std::vector<class_queues<std::string>::entry>& entries) {
    std::vector<std::string> out;
    for (const auto& each : entries)
      out.push_back(each.item);
    return out;
  }
};

TEST_F(ClassQueues, ServeByPriorityAndThenByAge) {
  push(background, "sync");
  push(control, "suspend");
  push(interactive, "one");
  push(interactive, "two");
  push(build_poll, "poll");
  std::vector<std::string> order;
  while (const auto which = next())
    order.push_back(queues.pop(*which).item);
  EXPECT_THAT(order, ElementsAre("one", "two", "suspend", "poll", "sync"));
}

TEST_F(ClassQueues, PreferPollsUntilATenthOfTheSlotsIsTheirs) {
  push(build_poll, "poll");
  push(interactive, "person");
  EXPECT_EQ(next(0, 16), build_poll);
  EXPECT_EQ(next(1, 16), interactive);
  EXPECT_EQ(next(1, 20), build_poll);
  EXPECT_EQ(next(2, 20), interactive);
  EXPECT_EQ(next(0, 2), build_poll);
}

TEST_F(ClassQueues, PassOverStoppedClasses) {
  push(interactive, "person");
  push(background, "sync");
  const auto is_stopped = [](call_class which) { return which == interactive; };
  EXPECT_EQ(queues.next(0, 16, is_stopped), background);
}

TEST_F(ClassQueues, CountWaitingAndParkedAgainstTheirCapacity) {
  EXPECT_EQ(queues.room(control), 3U);
  push(control, "a");
  queues.park(make(control, "b"), start + 1s);
  EXPECT_EQ(queues.size(control), 2U);
  EXPECT_EQ(queues.waiting(control), 1U);
  EXPECT_EQ(queues.room(control), 1U);
  EXPECT_EQ(queues.room(interactive), 3U);
}

TEST_F(ClassQueues, PutParkedOnesBackInTheirOldPlace) {
  push(background, "first");
  push(background, "second");
  auto first = queues.pop(background);
  queues.park(std::move(first), start + 2s);
  EXPECT_EQ(queues.next_unpark(), start + 2s);
  queues.unpark(start + 1999ms);
  EXPECT_EQ(queues.waiting(background), 1U);
  queues.unpark(start + 2s);
  EXPECT_EQ(queues.pop(background).item, "first");
  EXPECT_EQ(queues.pop(background).item, "second");
  EXPECT_FALSE(queues.next_unpark().has_value());
  EXPECT_FALSE(queues.next_deadline().has_value());
}

TEST_F(ClassQueues, GiveUpWhatIsTooLateWaitingOrParked) {
  push(interactive, "late", start + 2s);
  push(background, "later", start + 3s);
  queues.park(make(control, "parked", start + 1s), start + 10s);
  push(interactive, "patient", start + 9s);
  EXPECT_EQ(queues.next_deadline(), start + 1s);
  EXPECT_THAT(names(queues.expire(start + 999ms)), IsEmpty());
  EXPECT_THAT(names(queues.expire(start + 2s)), ElementsAre("parked", "late"));
  EXPECT_EQ(queues.next_deadline(), start + 3s);
  EXPECT_EQ(queues.size(control), 0U);
  EXPECT_FALSE(queues.next_unpark().has_value());
}

TEST_F(ClassQueues, DrainOneClassAndLeaveTheRest) {
  push(interactive, "a");
  push(background, "b");
  queues.park(make(interactive, "c", start + 2h), start + 1s);
  EXPECT_THAT(names(queues.drain(interactive)), ElementsAre("a", "c"));
  EXPECT_EQ(queues.size(interactive), 0U);
  EXPECT_EQ(queues.size(background), 1U);
}

TEST_F(ClassQueues, CountWhoStandsBeforeANewOne) {
  push(interactive, "i");
  push(control, "c");
  push(background, "b");
  push(build_poll, "p");
  EXPECT_EQ(queues.ahead_of(interactive), 1U);
  EXPECT_EQ(queues.ahead_of(control), 2U);
  EXPECT_EQ(queues.ahead_of(build_poll), 3U);
  EXPECT_EQ(queues.ahead_of(background), 4U);
}

} // namespace
} // namespace skyengine
