#include "actors/runtime/crash_point.hpp"
#include "actors/server_removal.hpp"
#include "domain/backoff.hpp"

#include <algorithm>
#include <utility>

namespace skyengine::actors {

namespace {

namespace asio = boost::asio;
using failure_kind = vf::call_failure::kind;
using runtime::crash_point;
using runtime::steady_time;
using namespace std::chrono_literals;

// A failed build is tried once more before the server is given up.
constexpr int most_builds = 2;
// So often a build may not fit the server's state, though nothing of it is to be seen there.
constexpr int most_conflicts = 3;

/// Type and key alone: the comment behind them is anybody's.
bool is_same_key(std::string_view a, std::string_view b) {
  const auto without_comment = [](std::string_view line) {
    return line.substr(0, line.find(' ', line.find(' ') == line.npos ? line.npos : line.find(' ') + 1));
  };
  return without_comment(a) == without_comment(b);
}

class create_saga final : public server_removal {
public:
  create_saga(saga_services& services,
              action_id action,
              std::shared_ptr<saga_control> control,
              std::function<void(saga_report)> report)
      : server_removal(services, action, std::move(control)), report_(std::move(report)) {}

private:
  void on_loaded() override {
    is_user_new_ = false;
    // The commit that ended the attempt may be known only from here.
    if (state_.action.step > saga_step::attempt)
      turn_ = {};
  }

  void on_over() override {
    report_({state_.action.state == action_state::succeeded ? saga_stage::active : saga_stage::failed});
  }

  // An unresolved attempt is resolved first: what it made would be nobody's.
  bool may_give_way() const noexcept override {
    return state_.action.step != saga_step::attempt || is_resolved_to_nothing_;
  }

  asio::awaitable<std::optional<action_id>> give_way() override {
    turn_ = {};
    const auto next = co_await hand_over(is_sent_here_);
    if (next)
      report_({saga_stage::failed});
    co_return next;
  }

  bool may_abandon() const noexcept override {
    return may_give_way() && state_.action.step != saga_step::cleanup;
  }

  /// What an operator gave up: nothing of it stays in VirtFusion.
  asio::awaitable<outcome> abandon() override {
    turn_ = {};
    say(log::level::info, "create abandoned by an operator");
    const error why{errc::conflict, "an operator abandoned it"};
    if (!state_.server.virtfusion_id)
      co_return co_await fail(why, is_sent_here_ ? "refused" : "lost");
    db::saga_change change;
    change.step = saga_step::cleanup;
    change.server = server_state::building;
    change.event = "create_abandoned";
    change.failure = why;
    change.yields_to_delete = true;
    co_return co_await commit(std::move(change));
  }

  asio::awaitable<outcome> step() override {
    switch (state_.action.step) {
    case saga_step::begin:
      return ensure_user();
    case saga_step::attempt:
      if (made_)
        return take(*made_, "made");
      return is_sent_here_ ? post() : resolve(now());
    case saga_step::made:
      return mark_build();
    case saga_step::build:
      return is_build_marked_here_ ? send_build() : look_at_build(now());
    case saga_step::building:
      return watch_build();
    default:
      return clean_up();
    }
  }

  asio::awaitable<outcome> fail(error why, std::string attempt_ends = "refused") {
    crash_point("create.before_failed");
    db::saga_change change;
    change.step = saga_step::done;
    change.state = action_state::failed;
    change.server = server_state::failed;
    change.event = "failed";
    change.failure = why;
    change.yields_to_delete = true;
    if (state_.action.step == saga_step::attempt)
      change.attempt_ends = attempt_ends;
    const auto done = co_await commit(std::move(change));
    if (done == outcome::advanced) {
      crash_point("create.after_failed");
      say(log::level::warn, "create failed", why.detail);
    }
    co_return done;
  }

  asio::awaitable<outcome> ensure_user() {
    if (!state_.virtfusion_user) {
      crash_point("create.before_user");
      const auto id = co_await find_or_create_user();
      if (!id)
        co_return outcome::interrupted;
      if (id->has_error())
        co_return co_await fail(id->error());
      crash_point("create.after_user");
      // Noted with the attempt: until then nothing needs it that would not find it again.
      state_.virtfusion_user = **id;
      is_user_new_ = true;
    }
    // What the build will need is asked for before anything is made: a missing template costs nobody a
    // server.
    if (const auto template_id = co_await choose_template(); !template_id)
      co_return outcome::interrupted;
    else if (template_id->has_error())
      co_return co_await fail(template_id->error());
    if (!turn_) {
      turn_ = co_await services_.turns.take(state_.server.order.user, control_->wake);
      if (!turn_)
        co_return outcome::interrupted;
    }
    co_return co_await open_attempt(1);
  }

  asio::awaitable<std::optional<result<virtfusion_user_id>>> find_or_create_user() {
    const auto user = state_.server.order.user;
    for (int failures = 1;; ++failures) {
      const auto found = co_await insist(options(), vf::find_user(user));
      if (!found)
        co_return std::nullopt;
      if (found->has_value())
        co_return result<virtfusion_user_id>{(*found)->id};
      if (found->error().what != failure_kind::not_found_user)
        co_return result<virtfusion_user_id>{found->error().as_error()};
      const vf::new_user wanted{user, state_.user_name, state_.user_email};
      const auto created = co_await services_.virtfusion.call(options(), vf::create_user(wanted));
      if (created)
        co_return result<virtfusion_user_id>{created->id};
      const auto& failed = created.error();
      if (!is_passing(failed.what)) {
        // Another create of the same user may have been first: then the look-up finds it now.
        const auto again = co_await insist(options(), vf::find_user(user));
        if (!again)
          co_return std::nullopt;
        if (again->has_value())
          co_return result<virtfusion_user_id>{(*again)->id};
        co_return result<virtfusion_user_id>{failed.as_error()};
      }
      if (!co_await pause(wait_after(failures, failed)) && is_stopping())
        co_return std::nullopt;
    }
  }

  asio::awaitable<std::optional<result<os_template_id>>> choose_template() {
    if (state_.server.order.os_template)
      co_return result<os_template_id>{*state_.server.order.os_template};
    if (!state_.plan_os_templates.empty())
      co_return result<os_template_id>{os_template_id{state_.plan_os_templates.front()}};
    const auto kept = services_.templates.find(state_.package);
    if (kept != services_.templates.end() && kept->second.until > now())
      co_return result<os_template_id>{kept->second.value};
    const auto offered = co_await insist(options(), vf::list_templates(state_.package));
    if (!offered)
      co_return std::nullopt;
    if (offered->has_error())
      co_return result<os_template_id>{offered->error().as_error()};
    for (const auto& group : **offered)
      for (const auto& candidate : group.templates) {
        services_.templates[state_.package] = {candidate.id, now() + catalogue_life};
        co_return result<os_template_id>{candidate.id};
      }
    co_return result<os_template_id>{
      error{errc::virtfusion_rejected, "VirtFusion offers no operating system for this plan"}};
  }

  /// For the attempt's row. What VirtFusion refuses to tell is asked for again should it be needed; nullopt
  /// when stopped.
  asio::awaitable<std::optional<known_resources>> resources_to_send() {
    const auto kept = services_.resources.find(state_.package);
    if (kept != services_.resources.end() && kept->second.until > now())
      co_return known_resources{kept->second.value};
    const auto packages = co_await insist(options(), vf::list_packages());
    if (!packages)
      co_return std::nullopt;
    co_return packages->has_value() ? keep_resources(**packages, state_.package) : known_resources{};
  }

  asio::awaitable<outcome> open_attempt(int number) {
    const auto resources = co_await resources_to_send();
    if (!resources)
      co_return outcome::interrupted;
    crash_point("create.before_attempt");
    const auto sent_at = services_.options.real_now();
    const auto look_at = number == 1 ? std::nullopt : std::optional{sent_at + services_.options.settle};
    const db::attempt_order wanted{number, is_user_new_ ? state_.virtfusion_user : std::nullopt,
                                   state_.package, state_.group, *resources};
    for (int failures = 1;; ++failures) {
      const auto opened = co_await services_.sagas.open_attempt(state_.ref(), wanted, sent_at, look_at,
                                                                services_.business.now());
      if (opened && *opened)
        break;
      if (!opened && opened.error().detail == db::saga_store::owner_taken)
        co_return co_await fail(
          {errc::virtfusion_rejected, "VirtFusion's user belongs to another user of ours"});
      if (opened || opened.error().detail != db::saga_store::place_taken) {
        if (!opened)
          static_cast<void>(co_await pause(200ms));
        co_return outcome::reload;
      }
      // Another engine, or a second look, has this user's place.
      if (!co_await pause(std::max(backoff{250ms, 2s}.draw(failures, services_.random), 50ms)))
        co_return outcome::interrupted;
    }
    crash_point("create.after_attempt");
    is_user_new_ = false;
    state_.action.step = saga_step::attempt;
    state_.action.version += 1;
    state_.server.state = server_state::creating;
    // Its number and mark are the row's to tell, should its outcome be unknown.
    state_.attempt.reset();
    is_sent_here_ = true;
    is_resolved_to_nothing_ = false;
    co_return outcome::advanced;
  }

  asio::awaitable<outcome> post() {
    for (int failures = 1;; ++failures) {
      is_resolved_to_nothing_ = false;
      if (!co_await hold_lease())
        co_return outcome::interrupted;
      const vf::new_server wanted{state_.package, *state_.virtfusion_user, state_.group};
      const auto made = co_await services_.virtfusion.call(options(), vf::create_server(wanted));
      crash_point("create.after_post");
      if (made) {
        made_ = made->id;
        co_return co_await take(*made_, "made");
      }
      const auto& failed = made.error();
      if (failed.what == failure_kind::unknown) {
        say(log::level::warn, "answer to create lost", failed.text);
        is_sent_here_ = false;
        co_return co_await resolve(now());
      }
      is_resolved_to_nothing_ = true;
      if (!is_surely_unsent(failed.what) && failed.what != failure_kind::busy)
        co_return co_await fail(failed.as_error());
      say(log::level::warn, "create is sent again", failed.text);
      if (!co_await pause(wait_after(failures, failed)))
        co_return outcome::interrupted;
    }
  }

  /// Commits whose server it is, and in the same breath that its build is about to be asked for; where a
  /// delete waits or an operator gave up, the first alone.
  asio::awaitable<outcome> take(virtfusion_server_id id, std::string how) {
    crash_point("create.before_made");
    db::saga_change change;
    change.attempt_ends = how;
    change.virtfusion_id = id;
    change.detail = "{\"virtfusionId\":" + std::to_string(id.value) + "}";
    change.step = saga_step::build;
    change.server = server_state::building;
    change.event = how == "made" ? "building" : "adopted";
    change.yields_to_delete = true;
    change.yields_to_abandon = true;
    change.counts_build = true;
    auto done = co_await commit(change);
    if (done == outcome::advanced) {
      is_build_marked_here_ = true;
    } else {
      change.step = saga_step::made;
      change.server = server_state::creating;
      change.event = how == "made" ? "created" : "adopted";
      change.yields_to_delete = false;
      change.yields_to_abandon = false;
      change.counts_build = false;
      done = co_await commit(change);
    }
    if (is_id_taken_) {
      alert("virtfusion_id_taken",
            "VirtFusion gave a new server the id of one that we have had: an operator has to look");
      static_cast<void>(co_await pause(operator_pause));
    }
    if (done == outcome::advanced) {
      crash_point("create.after_made");
      turn_ = {};
      say(log::level::info, how == "made" ? "server made" : "server adopted");
      if (!is_build_marked_here_)
        co_return outcome::reload;
    }
    co_return done;
  }

  /// Looks for what an attempt of unknown outcome made, for a settle time from `unknown_since`; repeats only
  /// then.
  asio::awaitable<outcome> resolve(steady_time unknown_since) {
    if (!state_.attempt && !co_await load())
      co_return outcome::interrupted;
    if (!state_.attempt || state_.action.step != saga_step::attempt)
      co_return outcome::reload;
    const auto settled = unknown_since + services_.options.settle;
    is_resolved_to_nothing_ = false;
    const order_traits order{action_, *state_.virtfusion_user, state_.attempt->mark, state_.package,
                             state_.group};
    auto interval = std::chrono::milliseconds{1'000};
    for (auto began = now();; began = now()) {
      const auto found = co_await candidates(options(), order);
      if (is_stopping())
        co_return outcome::interrupted;
      if (found)
        tell_sighted(action_);
      else if (began >= settled)
        tell_blind(
          action_, state_.server.order.user,
          "what a lost create has made cannot be looked for: it waits, and its user's others with it");
      if (found && !found->empty()) {
        const auto adopted = co_await take(found->front(), "adopted");
        co_return adopted;
      }
      if (found && began >= settled)
        break;
      // A nudge only cuts the wait short: an unknown outcome is resolved before anything else happens.
      const auto next = began < settled ? std::min(now() + interval, settled) : now() + interval;
      static_cast<void>(co_await control_->wake.wait_until(next));
      if (is_stopping())
        co_return outcome::interrupted;
      interval = std::min(interval * 2, std::chrono::milliseconds{15'000});
    }
    is_resolved_to_nothing_ = true;
    say(log::level::warn, "nothing came of the lost create: it is repeated");
    co_return co_await open_attempt(state_.attempt->number + 1);
  }

  // -- build -----------------------------------------------------------------

  asio::awaitable<outcome> mark_build() {
    crash_point("create.before_build");
    db::saga_change change;
    change.step = saga_step::build;
    change.server = server_state::building;
    change.event = "building";
    change.yields_to_delete = true;
    change.yields_to_abandon = true;
    change.counts_build = true;
    const auto done = co_await commit(std::move(change));
    if (done == outcome::advanced) {
      crash_point("create.after_build_mark");
      is_build_marked_here_ = true;
    }
    co_return done;
  }

  asio::awaitable<std::optional<vf::call_result<std::vector<ssh_key_id>>>> ensure_ssh_keys() {
    using keys = vf::call_result<std::vector<ssh_key_id>>;
    std::vector<ssh_key_id> ids;
    if (state_.server.order.ssh_keys.empty())
      co_return keys{ids};
    for (const auto& line : state_.server.order.ssh_keys) {
      std::optional<vf::call_failure> refused;
      for (int failures = 1;; ++failures) {
        const auto stored = co_await insist(options(), vf::list_ssh_keys(*state_.virtfusion_user));
        if (!stored)
          co_return std::nullopt;
        if (stored->has_error())
          co_return keys{stored->error()};
        const auto same = std::find_if((*stored)->begin(), (*stored)->end(), [&](const auto& known) {
          return is_same_key(known.public_key, line);
        });
        if (same != (*stored)->end()) {
          ids.push_back(same->id);
          break;
        }
        if (refused)
          co_return keys{*refused};
        const auto name = state_.server.effective_hostname() + "-" + std::to_string(ids.size() + 1);
        const auto added =
          co_await services_.virtfusion.call(options(), vf::add_ssh_key(*state_.virtfusion_user, name, line));
        if (added) {
          ids.push_back(added->id);
          break;
        }
        // Another order of this user may have been first with it: then it stands in the list now.
        if (!is_passing(added.error().what))
          refused = added.error();
        else if (!co_await pause(wait_after(failures, added.error())) && is_stopping())
          co_return std::nullopt;
      }
    }
    co_return keys{ids};
  }

  asio::awaitable<outcome> send_build() {
    const auto template_id = co_await choose_template();
    if (!template_id)
      co_return outcome::interrupted;
    if (template_id->has_error())
      co_return co_await begin_cleanup(template_id->error());
    const auto keys = co_await ensure_ssh_keys();
    if (!keys)
      co_return outcome::interrupted;
    if (keys->has_error())
      co_return co_await begin_cleanup(keys->error().as_error());
    const auto hostname = state_.server.effective_hostname();
    const vf::server_build wanted{**template_id, hostname, hostname, **keys, state_.server.order.ipv6};
    for (int failures = 1;; ++failures) {
      if (!co_await hold_lease())
        co_return outcome::interrupted;
      const auto taken =
        co_await services_.virtfusion.call(options(), vf::build_server(*state_.server.virtfusion_id, wanted));
      crash_point("create.after_build");
      if (taken)
        co_return co_await build_taken(taken->password);
      const auto& failed = taken.error();
      const auto may_be_there = failed.what == failure_kind::conflict && ++build_conflicts_ < most_conflicts;
      if (failed.what == failure_kind::unknown || failed.what == failure_kind::busy || may_be_there) {
        say(log::level::warn, "whether the build was taken is to be seen", failed.text);
        is_build_marked_here_ = false;
        co_return co_await look_at_build(now());
      }
      if (failed.what == failure_kind::not_found_server)
        co_return co_await vanished();
      if (!is_surely_unsent(failed.what))
        co_return co_await begin_cleanup(failed.as_error());
      if (!co_await pause(wait_after(failures, failed)))
        co_return outcome::interrupted;
    }
  }

  asio::awaitable<outcome> build_taken(secret password) {
    // Told before the commit: the password is shown once, and whoever waits need not wait for the disk.
    report_({saga_stage::building, std::move(password)});
    is_build_marked_here_ = false;
    db::saga_change change;
    change.step = saga_step::building;
    change.server = server_state::building;
    const auto done = co_await commit(std::move(change));
    if (done == outcome::advanced)
      crash_point("create.after_building");
    co_return done;
  }

  /// Whether a build of unknown outcome arrived: an active task or a built server says so. Sent again only
  /// when a settle time has shown neither.
  asio::awaitable<outcome> look_at_build(steady_time unknown_since) {
    const auto settled = unknown_since + services_.options.settle;
    auto interval = std::chrono::milliseconds{1'000};
    auto is_alerted = false;
    for (auto began = now();; began = now()) {
      const auto record = co_await insist(options(), vf::get_server(*state_.server.virtfusion_id));
      if (!record)
        co_return outcome::interrupted;
      if (record->has_error() && record->error().what == failure_kind::not_found_server)
        co_return co_await vanished();
      if (record->has_error()) {
        // That it cannot be seen says nothing of the build.
        say(log::level::warn, "a build cannot be looked at", record->error().text);
        if (began >= settled && !std::exchange(is_alerted, true))
          alert("build_unresolved", "whether a build was begun cannot be seen: it waits",
                record->error().text);
        if (!co_await pause(interval))
          co_return outcome::interrupted;
        interval = std::min(interval * 2, std::chrono::milliseconds{15'000});
        continue;
      }
      if (is_alerted)
        log::info("whether a build was begun can be seen again",
                  {{"alert_cleared", "build_unresolved"}, {"action_id", action_.value}});
      // Of a second build the failure of the first says nothing.
      const auto has_failed_now = (*record)->has_failed() && state_.action.builds <= 1;
      if ((*record)->has_task() || (*record)->is_built() || has_failed_now || (*record)->built_at)
        co_return co_await build_taken({});
      if (began >= settled)
        break;
      if (!co_await pause(std::min(interval, std::chrono::duration_cast<std::chrono::milliseconds>(
                                               std::max(settled - now(), runtime::steady_duration{1ms})))))
        co_return outcome::interrupted;
      interval = std::min(interval * 2, std::chrono::milliseconds{15'000});
    }
    is_build_marked_here_ = true;
    co_return outcome::advanced;
  }

  asio::awaitable<outcome> watch_build() {
    auto interval = services_.options.poll_first;
    // Until a second build has begun, the failure that shows may still be the first one's.
    const auto begun_by = now() + services_.options.settle;
    auto has_begun = state_.action.builds <= 1;
    for (;;) {
      if (!co_await pause(interval))
        co_return outcome::interrupted;
      interval = std::min(interval * 3 / 2, services_.options.poll_most);
      const auto record =
        co_await insist(options(call_class::build_poll), vf::get_server(*state_.server.virtfusion_id));
      if (!record)
        co_return outcome::interrupted;
      if (record->has_error() && record->error().what == failure_kind::not_found_server)
        co_return co_await vanished();
      if (record->has_error()) {
        say(log::level::warn, "a build cannot be watched", record->error().text);
        continue;
      }
      if ((*record)->is_built())
        co_return co_await activate(**record);
      has_begun = has_begun || (*record)->has_task() || now() >= begun_by;
      if ((*record)->has_failed() && !(*record)->has_task() && has_begun) {
        if (state_.action.builds < most_builds) {
          say(log::level::warn, "build failed: it is tried once more");
          co_return co_await mark_build();
        }
        co_return co_await begin_cleanup(
          {errc::virtfusion_rejected, "VirtFusion could not build the server"});
      }
    }
  }

  asio::awaitable<outcome> activate(vf::server_record record) {
    crash_point("create.before_active");
    db::saga_change change;
    change.step = saga_step::done;
    change.state = action_state::succeeded;
    change.server = server_state::active;
    change.event = "active";
    change.ipv4 = std::move(record.ipv4);
    change.ipv6 = std::move(record.ipv6);
    change.power = power_state::on;
    // A delete that came meanwhile waits behind this action, which must give way, not succeed.
    change.yields_to_delete = true;
    change.yields_to_abandon = true;
    const auto done = co_await commit(std::move(change));
    if (done == outcome::advanced) {
      crash_point("create.after_active");
      say(log::level::info, "server active");
    }
    co_return done;
  }

  // -- cleanup -----------------------------------------------------------------

  asio::awaitable<outcome> vanished() {
    alert("server_vanished", "a server under construction is gone from VirtFusion");
    co_return co_await fail(
      {errc::virtfusion_rejected, "the server vanished from VirtFusion while it was built"});
  }

  asio::awaitable<outcome> begin_cleanup(error why) {
    crash_point("create.before_cleanup");
    db::saga_change change;
    change.step = saga_step::cleanup;
    change.server = server_state::building;
    change.event = "build_failed";
    change.failure = why;
    change.yields_to_delete = true;
    const auto done = co_await commit(std::move(change));
    if (done == outcome::advanced)
      alert("build_failed", "a server could not be built and is removed again", why.detail);
    co_return done;
  }

  asio::awaitable<outcome> clean_up() {
    if (co_await remove_from_virtfusion() != removal::gone)
      co_return outcome::interrupted;
    crash_point("create.after_cleanup");
    co_return co_await fail(state_.action.failure.value_or(
      error{errc::virtfusion_rejected, "VirtFusion could not build the server"}));
  }

  std::function<void(saga_report)> report_;
  runtime::keyed_turns<user_id>::turn turn_;
  // What VirtFusion made of the open attempt: its commit is tried until the row has it.
  std::optional<virtfusion_server_id> made_;
  // The open attempt's row was committed by this run, and VirtFusion has surely not done it yet.
  bool is_sent_here_ = false;
  // VirtFusion surely made nothing of the open attempt.
  bool is_resolved_to_nothing_ = false;
  // VirtFusion's user was found by this run, and is noted nowhere yet.
  bool is_user_new_ = false;
  // The build's mark was committed by this run, and VirtFusion has surely not begun it yet.
  bool is_build_marked_here_ = false;
  int build_conflicts_ = 0;
};

} // namespace

std::unique_ptr<saga_run> make_create_saga(saga_services& services,
                                           action_id action,
                                           std::shared_ptr<saga_control> control,
                                           std::function<void(saga_report)> report) {
  return std::make_unique<create_saga>(services, action, std::move(control), std::move(report));
}

} // namespace skyengine::actors
