#include "db/panel_store.hpp"

namespace skyengine::db {

namespace {

constexpr statement store_panel{"panel_store", R"sql(
  INSERT INTO engine_panel (is_demo) VALUES ($1::boolean) ON CONFLICT (one) DO NOTHING)sql"};
constexpr statement load_panel{"panel_load", "SELECT is_demo FROM engine_panel"};

} // namespace

asio::awaitable<result<>> claim_panel(database& db, panel_kind wanted) {
  const auto is_demo = wanted == panel_kind::demo;
  const auto stored = co_await db.run(store_panel, is_demo);
  if (!stored)
    co_return stored.error();
  const auto loaded = co_await db.run(load_panel);
  if (!loaded)
    co_return loaded.error();
  if (loaded->front().get<bool>("is_demo") == is_demo)
    co_return result<>{};
  co_return error{errc::conflict, is_demo
                                    ? "this database has servers of a VirtFusion, which the demo has not"
                                    : "this database is the demo's, whose servers no VirtFusion has"};
}

} // namespace skyengine::db
