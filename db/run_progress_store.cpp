#include "db/run_progress_store.hpp"

namespace skyengine::db {

namespace {

constexpr statement note_progress{"run_note_progress", R"sql(
  UPDATE runs SET figures = $2::jsonb WHERE id = $1::bigint AND state = 'running')sql"};

} // namespace

asio::awaitable<result<bool>> run_progress_store::note(run_id run, std::string figures) {
  if (!part_.empty())
    figures = "{\"" + part_ + "\":" + figures + '}';
  const auto noted = co_await db_.run(note_progress, run, std::move(figures));
  if (!noted)
    co_return noted.error();
  co_return noted->affected() > 0;
}

} // namespace skyengine::db
