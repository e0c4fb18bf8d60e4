// What does a request cost that the whole engine answers? `GET /healthz` beside a bare Beast hello, and
// `GET /v1/servers/{id}`, with its key checked and its row read, beside bare libpq behind the same bare
// Beast.
//
// The engine is the release program as a process with its own private PostgreSQL; the bare servers run on one
// thread each in this process and read that same database, in pipeline mode, over as many connections as the
// engine has, with the engine's own SQL. `key and row` sends both statements under one sync, `row` the second
// alone; neither looks at what it reads, but for there being a row. (The engine remembers checked keys as
// long as it hears of every revocation, so it reads a key once.) All take turns under the same driver.

#include "bench/bare_server.hpp"
#include "bench/bench_support.hpp"
#include "db/private_postgres.hpp"
#include "db/server_rows.hpp"
#include "net/api/api_key_secret.hpp"
#include "tests/torture/world.hpp"

#include <boost/asio/any_completion_handler.hpp>
#include <boost/asio/posix/stream_descriptor.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/json.hpp>
#include <libpq-fe.h>

#include <array>
#include <cstdio>
#include <deque>
#include <memory>
#include <stdexcept>
#include <utility>
#include <vector>

namespace {

namespace asio = boost::asio;
namespace bench = skyengine::bench;
namespace test = skyengine::test;
namespace torture = skyengine::torture;

constexpr std::size_t links_per_server = 4;
constexpr const char* key_sql = "SELECT id, name, user_id, scopes, created_at, revoked_at FROM api_keys"
                                " WHERE hash = decode($1, 'hex') AND revoked_at IS NULL";
constexpr const char* row_sql = "SELECT" SKYENGINE_SERVER_COLUMNS
                                "FROM servers s WHERE s.id = $1 AND ($2::bigint IS NULL OR s.user_id = $2)";

struct wanted_rows {
  std::string url;
  /// Empty: the row alone.
  std::string key_hash;
  std::string server;
};

/// One libpq connection in pipeline mode.
class bare_link {
public:
  bare_link(asio::io_context& loop, const wanted_rows& wanted)
      : wanted_(wanted), pg_(PQconnectdb(wanted.url.c_str()), PQfinish), socket_(loop) {
    prepare("key", key_sql);
    prepare("row", row_sql);
    if (PQsetnonblocking(pg_.get(), 1) != 0 || PQenterPipelineMode(pg_.get()) == 0)
      fail();
    socket_.assign(PQsocket(pg_.get()));
    watch();
  }
  ~bare_link() { socket_.release(); }
  bare_link(const bare_link&) = delete;
  bare_link& operator=(const bare_link&) = delete;

  std::size_t in_flight() const noexcept { return waiting_.size(); }

  asio::awaitable<std::string> read() {
    return asio::async_initiate<const asio::use_awaitable_t<>, void(std::string)>(
      [](auto handler, bare_link* self) {
        self->waiting_.emplace_back(std::move(handler));
        self->send();
      },
      asio::use_awaitable, this);
  }

private:
  struct reader {
    explicit reader(asio::any_completion_handler<void(std::string)> h) : handler(std::move(h)) {}
    asio::any_completion_handler<void(std::string)> handler;
    std::string text;
    bool has_row = true;
  };

  [[noreturn]] void fail() const { throw std::runtime_error{PQerrorMessage(pg_.get())}; }

  void prepare(const char* name, const char* sql) {
    const std::unique_ptr<PGresult, decltype(&PQclear)> done{PQprepare(pg_.get(), name, sql, 0, nullptr),
                                                             PQclear};
    if (PQresultStatus(done.get()) != PGRES_COMMAND_OK)
      fail();
  }

  void send() {
    const std::array<const char*, 1> key{wanted_.key_hash.c_str()};
    const std::array<const char*, 2> row{wanted_.server.c_str(), nullptr};
    if (!wanted_.key_hash.empty() &&
        PQsendQueryPrepared(pg_.get(), "key", 1, key.data(), nullptr, nullptr, 0) == 0)
      fail();
    if (PQsendQueryPrepared(pg_.get(), "row", 2, row.data(), nullptr, nullptr, 0) == 0 ||
        PQpipelineSync(pg_.get()) == 0)
      fail();
    flush();
  }

  void flush() {
    if (is_writing_)
      return;
    const auto rest = PQflush(pg_.get());
    if (rest < 0)
      fail();
    if (rest == 0)
      return;
    is_writing_ = true;
    socket_.async_wait(socket_.wait_write, [this](boost::system::error_code failed) {
      is_writing_ = false;
      if (!failed)
        flush();
    });
  }

  void watch() {
    socket_.async_wait(socket_.wait_read, [this](boost::system::error_code failed) {
      if (failed)
        return;
      if (PQconsumeInput(pg_.get()) == 0)
        fail();
      receive();
      watch();
    });
  }

  void receive() {
    auto ended = false;
    while (!waiting_.empty() && PQisBusy(pg_.get()) == 0) {
      const std::unique_ptr<PGresult, decltype(&PQclear)> part{PQgetResult(pg_.get()), PQclear};
      if (!part) {
        // One ends each statement's results; two in a row say that there is nothing yet.
        if (std::exchange(ended, true))
          return;
        continue;
      }
      ended = false;
      auto& front = waiting_.front();
      if (PQresultStatus(part.get()) == PGRES_TUPLES_OK) {
        front.has_row = front.has_row && PQntuples(part.get()) == 1;
        front.text.clear();
        for (int column = 0; front.has_row && column < PQnfields(part.get()); ++column) {
          front.text += PQgetvalue(part.get(), 0, column);
          front.text += ' ';
        }
      } else if (PQresultStatus(part.get()) == PGRES_PIPELINE_SYNC) {
        auto done = std::move(front);
        waiting_.pop_front();
        if (!done.has_row)
          throw std::runtime_error{"the row is not there"};
        std::move(done.handler)(std::move(done.text));
      } else {
        throw std::runtime_error{PQresultErrorMessage(part.get())};
      }
    }
  }

  const wanted_rows& wanted_;
  std::unique_ptr<PGconn, decltype(&PQfinish)> pg_;
  asio::posix::stream_descriptor socket_;
  std::deque<reader> waiting_;
  bool is_writing_ = false;
};

/// Answers each request with what the least busy link reads.
class reading {
public:
  reading(asio::io_context& loop, wanted_rows wanted)
      : wanted_(std::make_unique<wanted_rows>(std::move(wanted))) {
    for (std::size_t i = 0; i < links_per_server; ++i)
      links_.push_back(std::make_unique<bare_link>(loop, *wanted_));
  }

  asio::awaitable<std::string> operator()(const bench::bare_request&) {
    auto* best = links_.front().get();
    for (const auto& one : links_)
      if (one->in_flight() < best->in_flight())
        best = one.get();
    return best->read();
  }

private:
  std::unique_ptr<wanted_rows> wanted_;
  std::vector<std::unique_ptr<bare_link>> links_;
};

std::string hello(const bench::bare_request&) {
  return "hello";
}

auto serve_hello(asio::io_context& loop, const auto& listening) {
  auto server = std::make_unique<bench::bare_server<decltype(&hello)>>(loop, &hello);
  listening(server->acceptor.local_endpoint());
  return server;
}

auto serve_rows(asio::io_context& loop, const wanted_rows& wanted, const auto& listening) {
  auto server = std::make_unique<bench::bare_server<reading>>(loop, reading{loop, wanted});
  listening(server->acceptor.local_endpoint());
  return server;
}

/// Orders a server, waits until it is active, and gives its id.
std::string make_server(const torture::world& world, const test::engine_process& engine) {
  const auto made =
    engine.call("POST", "/v1/servers", world.key(), R"({"planId": "small", "region": "north", "userId": 1})",
                {{"Idempotency-Key", "the-server-to-read"}});
  if (made.status != 201)
    throw std::runtime_error{"no server was made: " + std::to_string(made.status) + ' ' + made.body};
  auto id = std::to_string(made.json().at("id").as_int64());
  const auto is_active = [&] {
    return engine.call("GET", "/v1/servers/" + id, world.key()).json().at("state") == "active";
  };
  if (!test::simulated_panel::wait_until(is_active))
    throw std::runtime_error{"the server does not become active"};
  return id;
}

struct side {
  const char* name;
  const char* label;
  bench::http_load load;
  std::vector<double> rates = {};
};

int run(const bench::options& how) {
  torture::world_options options;
  options.panel = {"--build-time", "0"};
  options.users = 1;
  options.has_private_database = true;
  options.settings = {};
  torture::world world{options};
  auto& engine = world.engine();
  const auto id = make_server(world, engine);
  auto postgres = skyengine::db::private_postgres::start({engine.options().data_dir});
  if (!postgres)
    throw std::runtime_error{postgres.error().detail};
  const wanted_rows both{postgres->url(), skyengine::net::api::sha256_hex(world.key()), id};
  const wanted_rows row{postgres->url(), {}, id};

  const bench::served bare_hello{
    [](asio::io_context& loop, const auto& listening) { return serve_hello(loop, listening); }};
  const bench::served bare_both{
    [&](asio::io_context& loop, const auto& listening) { return serve_rows(loop, both, listening); }};
  const bench::served bare_row{
    [&](asio::io_context& loop, const auto& listening) { return serve_rows(loop, row, listening); }};
  const auto own = bench::endpoint_of(engine.origin());
  std::vector<side> sides{{"bare_hello", "bare Beast, hello", {bare_hello.endpoint(), "/healthz"}},
                          {"healthz", "GET /healthz", {own, "/healthz"}},
                          {"bare_key_and_row", "bare libpq, key and row", {bare_both.endpoint(), "/"}},
                          {"server",
                           "GET /v1/servers/{id}",
                           {own, "/v1/servers/" + id, {{"Authorization", "Bearer " + world.key()}}}},
                          {"bare_row", "bare libpq, row", {bare_row.endpoint(), "/"}}};
  for (int round = 0; round < how.rounds; ++round)
    for (auto& one : sides) {
      const auto rate = bench::drive(one.load, how);
      if (!rate)
        throw std::runtime_error{std::string{one.label} + ": an answer was missing or no success"};
      one.rates.push_back(*rate);
    }

  std::vector<bench::figures> all;
  std::printf("%-24s %12s %12s   (%s, %zu connections)\n", "requests/s", "median", "deviation",
              bench::has_wrk() && !how.is_smoke ? "wrk" : "built-in driver", sides.front().load.connections);
  for (const auto& one : sides) {
    all.push_back(bench::summarise(one.rates));
    std::printf("%-24s %12.0f %12.0f\n", one.label, all.back().median, all.back().deviation);
  }
  // Each round's two sides stand beside each other: the machine may have been slower in another round.
  const auto ratio = [&](std::size_t a, std::size_t b) {
    std::vector<double> each;
    for (std::size_t i = 0; i < sides[a].rates.size(); ++i)
      each.push_back(sides[a].rates[i] / sides[b].rates[i]);
    return bench::summarise(each).median;
  };
  const auto healthz = ratio(1, 0);
  const auto server = ratio(3, 2);
  const auto server_by_row = ratio(3, 4);
  std::printf("healthz / hello %.2f (aim 0.80), server / key and row %.2f (aim 1.00), server / row %.2f\n",
              healthz, server, server_by_row);
  bench::summary line{"request"};
  line.add("rounds", how.rounds).add("load", bench::load_average(), 2);
  for (std::size_t i = 0; i < sides.size(); ++i)
    line.add(sides[i].name, all[i]);
  line.add("healthz_by_hello", healthz, 3)
    .add("server_by_key_and_row", server, 3)
    .add("server_by_row", server_by_row, 3)
    .print();
  return 0;
}

} // namespace

int main(int argc, char** argv) {
  return bench::run(argc, argv, 5, run);
}
