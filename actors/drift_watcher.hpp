#pragma once

#include "actors/runtime/steady_timers.hpp"
#include "actors/virtfusion_caller.hpp"
#include "db/drift_store.hpp"
#include "domain/clock.hpp"
#include "domain/drift.hpp"
#include "net/virtfusion/records.hpp"

#include <boost/asio/awaitable.hpp>

#include <chrono>
#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <vector>

namespace skyengine::actors {

struct drift_options {
  /// Servers that are looked at by a call of their own, between two ends of a list, before drift is believed.
  /// What there is no look left for waits for the next list.
  int most_looks = 200;
  /// Servers that are missing in a list are counted so many at once.
  int rows_at_once = 500;
};

/// Compares what VirtFusion says of its servers with what we know of ours: page by page of each full list,
/// record by record of those that are read whole. What differs becomes a row with its hold, event and alert;
/// what is right again ends it.
///
/// A server that has an action under way, or whose action ended after the look was asked for, is not judged.
/// Used on the loop's thread only; several pages may be under way at once. What it is made of must outlive
/// it.
class drift_watcher {
public:
  drift_watcher(virtfusion_caller& virtfusion,
                db::drift_store& store,
                const clock& business,
                drift_options options = {})
      : virtfusion_(virtfusion), store_(store), business_(business), options_(options),
        looks_left_(options.most_looks) {}

  struct listed_server {
    virtfusion_server_id id;
    /// Nothing where the list did not tell, as below: it is not judged by.
    std::optional<virtfusion_user_id> owner;
    std::optional<bool> is_suspended;
  };
  /// One page of the list, asked for at `asked_at`. `total`: how many servers the page says that there are,
  /// where that is known: when it changes, or is not how many came, the list proves nothing. `goes_on`:
  /// whether more may be asked of VirtFusion; what was not looked at then waits for the next list.
  boost::asio::awaitable<result<>> on_page(std::vector<listed_server> servers,
                                           instant asked_at,
                                           std::optional<std::int64_t> total = std::nullopt,
                                           std::function<bool()> goes_on = always);
  /// The list, begun then, is over. Only one that is whole says that a server is missing.
  boost::asio::awaitable<result<>>
  on_list_end(instant begun_at, bool is_complete, std::function<bool()> goes_on = always);
  /// One server's record, with its power where it was asked for.
  boost::asio::awaitable<result<>> on_record(net::virtfusion::server_record record, instant asked_at);

private:
  struct outcome {
    std::vector<db::drift_finding> found;
    std::vector<db::drift_clearance> cleared;
    void add(outcome more);
  };
  /// A server whose owner is another in the list, and what the list says of it besides.
  struct doubt {
    db::drift_match match;
    outcome said;
  };
  using look = net::virtfusion::call_result<net::virtfusion::server_record>;
  static bool always() noexcept { return true; }

  boost::asio::awaitable<result<>>
  compare(std::vector<listed_server> servers, instant asked_at, const std::function<bool()>& goes_on);
  boost::asio::awaitable<result<>>
  dispel(db::drift_match match, outcome said, const std::function<bool()>& goes_on, outcome& all);
  boost::asio::awaitable<result<>>
  judge_record(db::drift_match match, net::virtfusion::server_record record, instant asked_at, outcome& all);
  boost::asio::awaitable<std::optional<server_resources>> resources_of(package_id package);
  boost::asio::awaitable<result<>> find_missing(instant begun_at, const std::function<bool()>& goes_on);
  boost::asio::awaitable<result<>> confirm_gone(db::drift_store::absentee one);
  boost::asio::awaitable<result<>> look_for_strangers(instant begun_at, const std::function<bool()>& goes_on);
  boost::asio::awaitable<look> look_at(virtfusion_server_id id);
  boost::asio::awaitable<result<>> report(outcome all);
  call_options how() const;

  virtfusion_caller& virtfusion_;
  db::drift_store& store_;
  const clock& business_;
  drift_options options_;

  // The list that is being read.
  int looks_left_;
  std::int64_t listed_ = 0;
  std::optional<std::int64_t> total_;
  /// Something of it was not compared, or it changed while it was read.
  bool is_unproven_ = false;

  /// What VirtFusion said that its packages have, and until when that is believed.
  std::map<package_id, server_resources> packages_;
  runtime::steady_time packages_until_{};
};

} // namespace skyengine::actors
