#include "db/clock_store.hpp"

namespace skyengine::db {

namespace {

constexpr statement store_clock{"clock_store", R"sql(
  INSERT INTO engine_clock (rate, real_origin, business_origin) VALUES ($1::bigint, $2::timestamptz, $2::timestamptz)
  ON CONFLICT (one) DO NOTHING)sql"};
constexpr statement load_clock_row{"clock_load",
                                   "SELECT rate, real_origin, business_origin FROM engine_clock"};

} // namespace

asio::awaitable<result<scaled_clock>> load_clock(database& db, std::int64_t rate, instant now) {
  const auto stored = co_await db.run(store_clock, rate, now);
  if (!stored)
    co_return stored.error();
  const auto loaded = co_await db.run(load_clock_row);
  if (!loaded)
    co_return loaded.error();
  const auto r = loaded->front();
  co_return scaled_clock{r.get<std::int64_t>("rate"), r.get<instant>("real_origin"),
                         r.get<instant>("business_origin")};
}

} // namespace skyengine::db
