#include "tests/torture/checks.hpp"
#include "tests/torture/history.hpp"
#include "tests/torture/world.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <csignal>
#include <thread>

namespace skyengine::torture {

namespace {

using namespace std::chrono_literals;
using testing::IsEmpty;

std::string order_of(int user) {
  return R"({"planId":"small","region":"north","userId":)" + std::to_string(user) + "}";
}

} // namespace

TEST(Sigterm, UnderLoadCutsNoAnswerAndEndsWithZero) {
  constexpr int orders = 8;
  world_options how;
  how.users = orders;
  world on{how};
  history told;
  on.panel().add_fault({{"operation", "POST /servers"}, {"kind", "delay"}, {"delayMs", 1000}});
  std::vector<std::thread> clients;
  for (int user = 1; user <= orders; ++user)
    clients.emplace_back([&, user] {
      const auto key = "order-" + std::to_string(user);
      const auto answer =
        on.engine().call("POST", "/v1/servers", on.key(), order_of(user), {{"Idempotency-Key", key}});
      if (answer.status == 201 || answer.status == 202)
        told.acknowledge_create(key, user, answer);
      else
        told.complain("an order under way was answered " + std::to_string(answer.status) + ' ' + answer.body +
                      answer.failure);
    });
  // All of them are stored: that is work which is being done.
  const auto limit = std::chrono::steady_clock::now() + 30s;
  while (test::run_sql(on.database_url(), "SELECT count(*) FROM servers") != std::to_string(orders) &&
         std::chrono::steady_clock::now() < limit)
    on.engine().child().wait(5ms);
  const auto begun = std::chrono::steady_clock::now();
  EXPECT_EQ(on.engine().terminate(), 0);
  EXPECT_LT(std::chrono::steady_clock::now() - begun, 15s);
  for (auto& client : clients)
    client.join();
  EXPECT_EQ(told.servers().size(), static_cast<std::size_t>(orders));
  on.engine().start();
  EXPECT_THAT(differences(on, told), IsEmpty());
}

// The next one takes its lease over at once, so a rolling restart stops nobody.
TEST(Sigterm, HandsTheLeaseBack) {
  world_options how;
  how.engines = 2;
  how.users = 1;
  world on{how};
  ASSERT_EQ(on.engine(1).terminate(), 0);
  EXPECT_EQ(test::run_sql(on.database_url(),
                          "SELECT count(*) FROM nodes WHERE name = 'node-2' AND lease_until > now()"),
            "0");
}

} // namespace skyengine::torture
