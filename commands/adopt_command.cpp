#include "actors/adopter.hpp"
#include "actors/node_lease.hpp"
#include "actors/virtfusion_caller.hpp"
#include "actors/virtfusion_gateway.hpp"
#include "commands/command_line_faults.hpp"
#include "commands/commands.hpp"
#include "commands/database_session.hpp"
#include "commands/virtfusion_link.hpp"
#include "db/adoption_store.hpp"
#include "db/catalogue_store.hpp"
#include "db/node_store.hpp"
#include "db/panel_store.hpp"
#include "db/session_lock.hpp"
#include "domain/names.hpp"
#include "net/virtfusion/calls.hpp"
#include "net/virtfusion/http_transport.hpp"

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/ip/host_name.hpp>
#include <boost/asio/signal_set.hpp>
#include <caf/send.hpp>
#include <signal.h>

#include <algorithm>
#include <charconv>
#include <cstdint>
#include <cstdio>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace skyengine::commands {

namespace {

namespace asio = boost::asio;
namespace vf = net::virtfusion;
using namespace std::chrono_literals;

constexpr int something_left = 3;
// Beside a running engine, which has its own calls under way.
constexpr std::size_t most_calls = 4;
constexpr auto page_patience = 60s;
constexpr auto probe_patience = 20s;

using plan_choices = std::map<virtfusion_server_id, plan_id>;

/// errc::invalid_request with what is wrong.
result<plan_choices> parse_choices(const std::vector<std::string>& texts) {
  plan_choices choices;
  for (const auto& text : texts) {
    const auto sign = text.find('=');
    virtfusion_server_id server;
    const auto* const end = text.data() + std::min(sign, text.size());
    const auto read = std::from_chars(text.data(), end, server.value);
    const plan_id plan{sign == std::string::npos ? std::string{} : text.substr(sign + 1)};
    if (sign == std::string::npos || read.ec != std::errc{} || read.ptr != end || server.value < 1 ||
        !check_short_name(plan.value))
      return error{errc::invalid_request, "--map: " + text + " is not SERVER=PLAN"};
    if (!choices.emplace(server, plan).second)
      return error{errc::invalid_request,
                   "--map: the server " + std::to_string(server.value) + " is named twice"};
  }
  return choices;
}

/// A node of its own, which reads VirtFusion's list page by page and takes over what is not ours.
class installation_adopter {
public:
  installation_adopter(std::unique_ptr<database_session> session,
                       const vf::http_transport_options& way,
                       plan_choices choices,
                       bool is_dry_run)
      : session_(std::move(session)), choices_(std::move(choices)), is_dry_run_(is_dry_run),
        node_(asio::ip::host_name() + ":adopt"), lease_(nodes_, timers(), session_->business(), node_),
        transport_(std::make_unique<vf::http_transport>(loop().get_executor(), way)) {
    actors::gateway_options limits;
    limits.max_in_flight = static_cast<int>(way.max_connections);
    gateway_ = actors::spawn_virtfusion_gateway(session_->runtime().system(), loop().get_executor(), timers(),
                                                *transport_, limits);
    caller_.set_gateway(gateway_);
    name_lock_ = std::make_unique<db::session_lock>(loop().get_executor(), session_->options(),
                                                    "skyengine node " + node_, [this] { stop(); });
  }

  ~installation_adopter() {
    caf::anon_send_exit(gateway_, caf::exit_reason::user_shutdown);
    gateway_ = nullptr;
    caller_.set_gateway(gateway_);
    // What is still suspended on the loop refers to the rest.
    transport_.reset();
    name_lock_.reset();
    session_.reset();
  }
  installation_adopter(const installation_adopter&) = delete;
  installation_adopter& operator=(const installation_adopter&) = delete;

  struct summary {
    std::int64_t adopted = 0;
    std::int64_t left = 0;
  };

  asio::io_context& loop() { return session_->loop(); }

  /// errc::conflict when it was told to stop before the end, or another one is at work.
  asio::awaitable<result<summary>> run() {
    const auto entered = co_await enter();
    if (!entered)
      co_return entered.error();
    auto done = co_await read_all();
    co_await lease_.release();
    name_lock_->release();
    co_return done;
  }

  void stop() { is_stopping_ = true; }

private:
  actors::runtime::steady_timers& timers() { return session_->runtime().timers(); }

  asio::awaitable<result<>> enter() {
    const auto is_real = co_await check_panel();
    if (!is_real)
      co_return is_real.error();
    const auto named = co_await name_lock_->acquire(0ms);
    if (!named && named.error().code == errc::conflict)
      co_return error{errc::conflict, "another skyengine adopt is at work on this database"};
    if (!named)
      co_return named.error();
    const auto leased = co_await lease_.acquire();
    if (!leased)
      co_return leased.error();
    asio::co_spawn(loop(),
                   lease_.keep(
                     [this]() -> asio::awaitable<void> {
                       stop();
                       co_return;
                     },
                     [](std::int64_t) {}),
                   [](std::exception_ptr bug) {
                     if (bug)
                       std::rethrow_exception(bug);
                   });
    co_return result<>{};
  }

  /// What is adopted is in a real VirtFusion, so the demo never works on this database from then on.
  asio::awaitable<result<>> check_panel() {
    if (!is_dry_run_)
      co_return co_await db::claim_panel(session_->database(), db::panel_kind::real);
    const auto panel = co_await db::find_panel(session_->database());
    if (!panel)
      co_return panel.error();
    if (*panel == db::panel_kind::demo)
      co_return error{errc::conflict, "this database is the demo's"};
    co_return result<>{};
  }

  asio::awaitable<result<summary>> read_all() {
    const auto loaded = co_await taker_.load();
    if (!loaded)
      co_return loaded.error();
    const auto listed = co_await list();
    if (!listed)
      co_return listed.error();
    const auto chosen = co_await check_choices(*listed);
    if (!chosen)
      co_return chosen.error();
    for (const auto& page : *listed) {
      const auto done = co_await take_page(page);
      if (!done)
        co_return done.error();
    }
    co_return summary_;
  }

  using page_ids = std::vector<virtfusion_server_id>;

  asio::awaitable<result<std::vector<page_ids>>> list() {
    std::vector<page_ids> pages;
    std::int64_t listed = 0;
    std::optional<std::int64_t> total;
    for (std::int64_t number = 1, last = 1; number <= last; ++number) {
      const actors::call_options how{call_class::background, timers().now() + page_patience, {}, "adopt"};
      const auto page = co_await caller_.call(how, vf::list_servers(number));
      if (!page)
        co_return page.error().as_error();
      last = page->last_page;
      total = page->total;
      listed += static_cast<std::int64_t>(page->items.size());
      auto& ids = pages.emplace_back();
      for (const auto& item : page->items)
        ids.push_back(item.id);
      std::sort(ids.begin(), ids.end());
    }
    if (total && listed != *total)
      std::fputs("skyengine: VirtFusion's list changed while it was read: run it again\n", stderr);
    co_return pages;
  }

  /// errc::not_found where a plan is chosen for a server that is not listed: another one was meant, and would
  /// get the plan of its package. One that is ours already keeps its plan, so that a command that broke off
  /// can be given again.
  asio::awaitable<result<>> check_choices(const std::vector<page_ids>& listed) {
    if (choices_.empty())
      co_return result<>{};
    std::set<virtfusion_server_id> there;
    for (const auto& page : listed)
      there.insert(page.begin(), page.end());
    page_ids chosen;
    std::string missing;
    for (const auto& [server, plan] : choices_) {
      chosen.push_back(server);
      if (!there.contains(server))
        missing += (missing.empty() ? "" : ", ") + std::to_string(server.value);
    }
    if (!missing.empty())
      co_return error{errc::not_found,
                      "--map: VirtFusion has no server " + missing + "; nothing was adopted"};
    const auto known = co_await adoptions_.known(chosen);
    if (!known)
      co_return known.error();
    for (const auto& [server, row] : *known)
      if (!row.is_over)
        std::fprintf(stderr, "skyengine: --map: server %lld is ours already and keeps its plan\n",
                     static_cast<long long>(server.value));
    co_return result<>{};
  }

  asio::awaitable<result<>> take_page(page_ids ids) {
    const auto known = co_await adoptions_.known(ids);
    if (!known)
      co_return known.error();
    for (const auto id : ids) {
      const auto row = known->find(id);
      const auto is_ours = row != known->end() && !row->second.is_over;
      // A list that shifts may name one twice.
      if (is_ours || !looked_at_.insert(id).second)
        continue;
      if (is_stopping_)
        co_return error{errc::conflict, "stopped: what was printed is done, the rest is as it was"};
      const auto told = co_await take(id);
      if (!told)
        co_return told;
    }
    co_return result<>{};
  }

  asio::awaitable<result<>> take(virtfusion_server_id id) {
    actors::adopter::wish wish{id, std::nullopt, is_dry_run_};
    if (const auto chosen = choices_.find(id); chosen != choices_.end())
      wish.plan = chosen->second;
    const auto taken = co_await taker_.adopt(std::move(wish), {"command line", "adopt"});
    const auto shown = static_cast<long long>(id.value);
    if (taken) {
      ++summary_.adopted;
      const auto done = taken->server ? "adopted as server " + std::to_string(taken->server->value)
                                      : std::string{"would be adopted"};
      std::printf("%lld: %s: user %lld, plan %s, region %s\n", shown, done.c_str(),
                  static_cast<long long>(taken->place.user.value), taken->place.plan.value.c_str(),
                  taken->place.region.value.c_str());
      co_return result<>{};
    }
    const auto& why = taken.error();
    if (!co_await is_its_own(why))
      co_return why;
    ++summary_.left;
    std::printf("%lld: left: %s\n", shown, why.detail.c_str());
    co_return result<>{};
  }

  /// Whether the others may well be adopted. What VirtFusion cannot tell of one server it can of others, as
  /// long as it answers at all.
  asio::awaitable<bool> is_its_own(error why) {
    if (why.code == errc::conflict || why.code == errc::virtfusion_rejected ||
        why.code == errc::virtfusion_busy)
      co_return true;
    if (why.code != errc::virtfusion_unavailable && why.code != errc::overloaded)
      co_return false;
    const actors::call_options how{call_class::background, timers().now() + probe_patience, {}, "adopt"};
    const auto answered = co_await caller_.call(how, vf::connect());
    co_return answered.has_value();
  }

  std::unique_ptr<database_session> session_;
  plan_choices choices_;
  bool is_dry_run_;
  std::string node_;
  db::node_store nodes_{session_->database()};
  db::catalogue_store catalogue_{session_->database()};
  db::adoption_store adoptions_{session_->database()};
  std::unique_ptr<db::session_lock> name_lock_;
  actors::node_lease lease_;
  std::unique_ptr<vf::http_transport> transport_;
  actors::virtfusion_gateway_actor gateway_;
  actors::virtfusion_caller caller_{session_->runtime().asker(), timers(), gateway_};
  actors::adopter taker_{caller_, catalogue_, adoptions_, session_->business(), call_class::background};
  std::set<virtfusion_server_id> looked_at_;
  summary summary_;
  bool is_stopping_ = false;
};

int failed(const error& why) {
  std::fprintf(stderr, "skyengine: %s\n", why.detail.c_str());
  return 1;
}

} // namespace

int adopt(const context& given, const adopt_options& options) {
  auto choices = parse_choices(options.plans);
  if (!choices) {
    std::fprintf(stderr, "skyengine: %s\n", choices.error().detail.c_str());
    return bad_command_line;
  }
  auto way = virtfusion_transport_options(given.settings.virtfusion);
  if (!way)
    return failed(way.error());
  if (const auto there = check_database_exists(given.settings, given.data_dir); !there)
    return failed(there.error());
  auto session = database_session::open(given.settings, given.data_dir);
  if (!session)
    return failed(session.error());
  warn_of_place(**session, given.settings, given.data_dir);
  way->max_connections = std::min(most_calls, way->max_connections);
  installation_adopter taker{std::move(*session), *way, std::move(*choices), options.is_dry_run};
  auto ended_by = 0;
  asio::signal_set signals{taker.loop(), SIGTERM, SIGINT};
  signals.async_wait([&](boost::system::error_code cancelled, int signal) {
    if (cancelled)
      return;
    ended_by = signal;
    // A second one ends it at once.
    signals.clear();
    taker.stop();
  });
  const auto done = run_to_end(taker.loop(), taker.run());
  if (!done)
    return ended_by != 0 ? failed(done.error()), 128 + ended_by : failed(done.error());
  std::printf("%lld %s, %lld left\n", static_cast<long long>(done->adopted),
              options.is_dry_run ? "would be adopted" : "adopted", static_cast<long long>(done->left));
  return done->left > 0 ? something_left : 0;
}

} // namespace skyengine::commands
