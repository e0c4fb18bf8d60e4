#include "db/panel_store.hpp"

namespace skyengine::db {

namespace {

constexpr statement store_panel{"panel_store", R"sql(
  INSERT INTO engine_panel (is_demo) VALUES ($1::boolean) ON CONFLICT (one) DO NOTHING)sql"};
constexpr statement load_panel{"panel_load", "SELECT is_demo FROM engine_panel"};

constexpr statement look_for_panels{"panel_table",
                                    "SELECT to_regclass('engine_panel') IS NOT NULL AS is_there"};

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

asio::awaitable<result<std::optional<panel_kind>>> find_panel(database& db) {
  const auto looked = co_await db.run(look_for_panels);
  if (!looked)
    co_return looked.error();
  if (!looked->front().get<bool>("is_there"))
    co_return std::optional<panel_kind>{};
  const auto loaded = co_await db.run(load_panel);
  if (!loaded)
    co_return loaded.error();
  if (loaded->size() == 0)
    co_return std::optional<panel_kind>{};
  co_return std::optional{loaded->front().get<bool>("is_demo") ? panel_kind::demo : panel_kind::real};
}

} // namespace skyengine::db
