#include "actors/runtime/crash_point.hpp"
#include "actors/saga_base.hpp"
#include "domain/backoff.hpp"
#include "net/virtfusion/ownership.hpp"

#include <algorithm>
#include <utility>

namespace skyengine::actors {

namespace {

namespace asio = boost::asio;
using failure_kind = vf::call_failure::kind;
using runtime::crash_point;
using namespace std::chrono_literals;

// Until what only an operator can mend is looked at again.
constexpr auto refused_pause = 60s;

class second_look final : saga_base {
public:
  second_look(saga_services& services, std::shared_ptr<saga_control> control)
      : saga_base(services, std::move(control)), token_(services.lease.token()) {}

  asio::awaitable<bool> run() {
    const auto claimed = co_await services_.sagas.claim_second_look(services_.options.real_now(), token_);
    if (!claimed || !*claimed)
      co_return false;
    look_ = **claimed;
    // A look that cannot be ended gives the user's place back: nobody's creates wait for an operator.
    switch (co_await look()) {
    case look_end::done:
      crash_point("look.before_finish");
      co_return (co_await services_.sagas.finish_second_look(look_.action, look_.number, token_)).has_value();
    case look_end::refused:
      co_return (co_await services_.sagas.postpone_second_look(look_.action, look_.number, token_,
                                                               services_.options.real_now() + refused_pause))
        .has_value();
    case look_end::interrupted:
      co_return false;
    }
    co_return false;
  }

private:
  enum class look_end : std::uint8_t {
    done,
    /// Not to be had from VirtFusion now.
    refused,
    /// Stopped, another node's, or without its database: claimed again later.
    interrupted,
  };
  enum class extra_end : std::uint8_t {
    gone,
    /// A row of ours has it, or somebody has begun to use it.
    kept,
    refused,
    interrupted,
  };

  call_options options() const {
    auto how = saga_base::options(call_class::control, look_.user, {});
    how.deadline = now() + services_.options.call_patience;
    return how;
  }

  bool is_ours() const noexcept { return !is_stopping() && services_.lease.token() == token_; }

  asio::awaitable<look_end> look() {
    const order_traits order{look_.action, look_.virtfusion_user, look_.mark, look_.package, look_.group};
    auto how = options();
    auto found = co_await candidates(how, order);
    for (int failures = 1; !found; ++failures) {
      if (failures > most_blind_looks) {
        tell_blind(look_.action, look_.user,
                   "whether a repeated create has left a second server cannot be looked for");
        co_return look_end::refused;
      }
      if (!co_await pause(std::max(backoff{}.draw(failures, services_.random), 500ms)))
        co_return look_end::interrupted;
      how = options();
      found = co_await candidates(how, order);
    }
    tell_sighted(look_.action);
    // What was begun is ended first, and was counted on when it began.
    if (look_.extra) {
      const auto ended = co_await end_named();
      if (ended != look_end::done)
        co_return ended;
    }
    auto left = look_.extras_left;
    for (const auto extra : *found) {
      if (left <= 0)
        break;
      const auto named = co_await services_.sagas.name_extra(look_.action, look_.number, token_, extra);
      if (!named || !*named)
        co_return look_end::interrupted;
      crash_point("look.after_named");
      const auto ended = co_await remove_extra(extra);
      left -= ended == extra_end::gone ? 1 : 0;
      const auto settled = co_await settle(ended);
      if (settled != look_end::done)
        co_return settled;
    }
    co_return look_end::done;
  }

  asio::awaitable<look_end> end_named() {
    // No create adopts what is named; what a row has all the same is no extra.
    const std::vector<std::int64_t> asked{look_.extra->value};
    const auto known = co_await services_.sagas.known_ids(asked);
    if (!known)
      co_return look_end::interrupted;
    const auto ended = known->empty() ? co_await remove_extra(*look_.extra) : extra_end::kept;
    if (ended == extra_end::gone)
      --look_.extras_left;
    co_return co_await settle(ended);
  }

  asio::awaitable<look_end> settle(extra_end ended) {
    if (ended == extra_end::refused)
      co_return look_end::refused;
    if (ended == extra_end::interrupted)
      co_return look_end::interrupted;
    const auto settled =
      co_await services_.sagas.settle_extra(look_.action, look_.number, token_, ended == extra_end::gone);
    co_return settled&&* settled ? look_end::done : look_end::interrupted;
  }

  /// Deletes what nobody has begun to use, and waits until VirtFusion says that it is gone.
  asio::awaitable<extra_end> remove_extra(virtfusion_server_id extra) {
    auto is_told = false;
    const auto patience_ends = now() + services_.options.settle;
    std::string why_it_stays = "VirtFusion does not get rid of it";
    for (auto interval = std::chrono::milliseconds{1'000};;) {
      if (!co_await hold_lease())
        co_return extra_end::interrupted;
      const auto record = co_await services_.virtfusion.call(options(), vf::get_server(extra));
      if (!is_ours())
        co_return extra_end::interrupted;
      if (!record && record.error().what == failure_kind::not_found_server)
        co_return extra_end::gone;
      if (!record && !is_passing(record.error().what))
        co_return refused(extra, record.error().text);
      auto is_theirs = false;
      // A task may be its deletion: what comes of that decides.
      if (record && !record->has_task()) {
        const auto not_theirs = vf::check_owner(*record, look_.user);
        if ((not_theirs && not_theirs->what == failure_kind::wrong_owner) || !record->is_untouched() ||
            record->is_protected)
          co_return extra_end::kept;
        // Whose it is may be told the next time.
        is_theirs = !not_theirs;
        if (not_theirs)
          why_it_stays = not_theirs->text;
      }
      if (is_theirs) {
        if (!std::exchange(is_told, true))
          log::error("a repeated create had left a second server, which is deleted",
                     {{"alert", "extra_server_deleted"},
                      {"action_id", look_.action.value},
                      {"user_id", look_.user.value},
                      {"virtfusion_id", extra.value}});
        if (!co_await hold_lease() || !is_ours())
          co_return extra_end::interrupted;
        const auto deleted = co_await services_.virtfusion.call(options(), vf::delete_server(extra));
        crash_point("look.after_delete");
        if (!deleted && !is_passing(deleted.error().what) &&
            deleted.error().what != failure_kind::not_found_server)
          co_return refused(extra, deleted.error().text);
      }
      // Named, it is nobody's to adopt: the look goes on later, and the user's creates need not wait for it.
      if (now() >= patience_ends)
        co_return refused(extra, why_it_stays);
      if (!co_await pause(interval))
        co_return extra_end::interrupted;
      interval = std::min(interval * 2, std::chrono::milliseconds{15'000});
    }
  }

  extra_end refused(virtfusion_server_id extra, std::string_view why) const {
    log::error("an extra server cannot be deleted: an operator has to look",
               {{"alert", "delete_refused"},
                {"action_id", look_.action.value},
                {"user_id", look_.user.value},
                {"virtfusion_id", extra.value},
                {"error", why}});
    return extra_end::refused;
  }

  // So often in a row the list may be missing before others' looks get their turn.
  static constexpr int most_blind_looks = 5;

  std::int64_t token_;
  db::second_look look_;
};

} // namespace

runtime::asio::awaitable<bool> run_second_look(saga_services& services,
                                               std::shared_ptr<saga_control> control) {
  // A restarted provisioner begins no look that its predecessor's has not left yet: one token, one look.
  if (services.is_looking)
    co_return false;
  services.is_looking = true;
  struct leaving {
    saga_services& services;
    ~leaving() { services.is_looking = false; }
  } const leave{services};
  second_look one{services, std::move(control)};
  co_return co_await one.run();
}

} // namespace skyengine::actors
