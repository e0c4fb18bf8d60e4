#include "db/catalogue_store.hpp"
#include "tests/support/loop.hpp"
#include "tests/support/postgres.hpp"
#include "tests/support/postgres_proxy.hpp"
#include "tests/support/temporary_folder.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <optional>
#include <string>
#include <vector>

namespace skyengine::db {
namespace {

using namespace std::chrono_literals;
using testing::EndsWith;

plan plan_of(const std::string& id, const std::string& currency) {
  plan one;
  one.id = plan_id{id};
  one.name = id;
  one.currency = currency_code{currency};
  one.package = package_id{1};
  return one;
}

/// A whole catalogue, by way of a proxy that can lose its commit.
class CatalogueStore : public testing::Test {
protected:
  CatalogueStore() {
    auto options = store.options();
    options.url = proxy.url();
    options.decision_timeout = 50ms;
    db.emplace(loop.get_executor(), options);
    EXPECT_TRUE(test::run(loop, db->connect()));
  }
  result<catalogue_store::all_done> put(const std::string& currency) {
    catalogue_store all{*db};
    const std::vector plans{plan_of("large", currency), plan_of("small", currency)};
    return test::run(loop, all.put_all(plans, {}, "test", instant{1h}));
  }
  std::string plans() const { return test::run_sql(store.url(), "SELECT count(*) FROM plans"); }

  test::test_database store;
  test::temporary_folder folder;
  asio::io_context loop{1};
  test::postgres_proxy proxy{loop, folder.path(), store.url()};
  std::optional<database> db;
};

TEST_F(CatalogueStore, WhatIsRefusedSaysThatNothingWasChanged) {
  ASSERT_TRUE(put("USD"));
  const auto refused = put("EUR");
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().detail, "plan large: the currency of a plan never changes: make another plan; "
                                    "nothing was changed");
}

TEST_F(CatalogueStore, WhatMayHaveBeenDoneIsNotSaidToHaveChangedNothing) {
  proxy.next_commit(test::postgres_proxy::at_commit::hold_request);
  const auto unknown = put("USD");
  ASSERT_FALSE(unknown);
  EXPECT_THAT(unknown.error().detail, EndsWith("The outcome of a commit is not known."));
  proxy.release();
  ASSERT_TRUE(test::run_until(loop, [&] { return plans() == "2"; }));
}

} // namespace
} // namespace skyengine::db
