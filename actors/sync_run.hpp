#pragma once

#include "actors/runtime/steady_timers.hpp"
#include "actors/sync_messages.hpp"
#include "actors/sync_observer.hpp"
#include "actors/virtfusion_caller.hpp"
#include "db/metrics_store.hpp"
#include "db/run_progress_store.hpp"
#include "domain/sync_lanes.hpp"

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>

#include <array>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace skyengine::actors {

struct metrics_sync_options {
  /// `sync.traffic_every` and `sync.live_every`; 0: never.
  std::chrono::milliseconds traffic_every = std::chrono::hours{1};
  /// Servers that are charged by uptime are looked at by each tick, whatever stands here.
  std::chrono::milliseconds live_every = std::chrono::hours{6};
  /// `sync.window`, by the steady clock: nothing is asked for later.
  std::chrono::milliseconds window = std::chrono::minutes{50};
  /// `virtfusion.max_in_flight`: how many calls the gateway has under way at most.
  std::size_t slots = 16;
  std::vector<metrics_subscriber_actor> subscribers = {};
};

/// What it is made of. All of it must outlive the actor, and the coroutines that it leaves behind when it
/// ends in the middle: those end with the loop.
struct metrics_sync_services {
  virtfusion_caller& virtfusion;
  db::metrics_store& store;
  db::run_progress_store& progress;
  const clock& business;
  /// nullptr: nobody listens.
  sync_observer* observer = nullptr;
};

/// One sync: its coroutines on the loop share it, and it lives as long as one of them does. Used on the
/// loop's thread only.
class sync_run : public std::enable_shared_from_this<sync_run> {
public:
  sync_run(boost::asio::any_io_executor loop,
           metrics_sync_services services,
           metrics_sync_options options,
           cron_tick tick);

  /// Once. Also after `cancel` what it got is written before it ends.
  boost::asio::awaitable<result<cron_outcome>> run();
  /// Begins nothing more, and waits for no call.
  void cancel();
  sync_figures figures() const noexcept;

private:
  using pointer = std::shared_ptr<sync_run>;
  template <class T>
  struct asked {
    net::virtfusion::call_result<T> outcome;
    instant asked_at;
    runtime::steady_time sent_at;
  };
  struct source {
    db::due_cursor next;
    bool is_loading = false;
    bool is_empty = false;
  };
  struct depth_figures {
    std::int64_t due = 0;
    std::int64_t seen = 0;
    std::int64_t failed = 0;
    std::int64_t calls = 0;
  };
  struct observations {
    db::observation_batch<db::traffic_observation> traffic;
    db::observation_batch<db::live_observation> live;
    std::size_t size() const noexcept;
  };

  bool goes_on() const noexcept;
  std::function<void(std::exception_ptr)> watched(std::string what);
  depth_figures& of(sync_depth depth) noexcept { return depths_[static_cast<std::size_t>(depth)]; }
  const depth_figures& of(sync_depth depth) const noexcept {
    return depths_[static_cast<std::size_t>(depth)];
  }
  source& source_of(sync_depth depth) noexcept { return sources_[static_cast<std::size_t>(depth)]; }

  template <class T>
  boost::asio::awaitable<asked<T>> ask(net::virtfusion::call<T> what, std::int64_t& calls);

  static boost::asio::awaitable<void> count_due(pointer self);
  boost::asio::awaitable<void> read_list(std::int64_t known_servers);
  static boost::asio::awaitable<void> end_list(pointer self, list_end end);
  static boost::asio::awaitable<void> read_page(pointer self, std::int64_t number);
  boost::asio::awaitable<bool> keep_page(net::virtfusion::page<net::virtfusion::server_list_item> page,
                                         instant asked_at);

  boost::asio::awaitable<void> look_at_servers();
  void load_more(sync_depth depth);
  static boost::asio::awaitable<void> load(pointer self, sync_depth depth);
  static boost::asio::awaitable<void> look_at_traffic(pointer self, sync_lanes::pick what);
  static boost::asio::awaitable<void> look_live(pointer self, sync_lanes::pick what);
  static boost::asio::awaitable<void> fail(pointer self,
                                           sync_lanes::pick what,
                                           net::virtfusion::call_failure why,
                                           instant asked_at,
                                           runtime::steady_time sent_at);
  boost::asio::awaitable<bool> is_panel_at_home(sync_lanes::pick but, runtime::steady_time since);
  void give_up(const sync_lanes::pick& what, instant asked_at);
  void on_observed();

  static boost::asio::awaitable<void> write_observations(pointer self);
  boost::asio::awaitable<bool> write(const observations& batch);
  void publish(const observations& batch) const;
  static boost::asio::awaitable<void> tell_progress(pointer self);
  boost::asio::awaitable<result<cron_outcome>> conclude();
  std::string figures_json(const std::string& more = {}) const;

  boost::asio::any_io_executor loop_;
  metrics_sync_services services_;
  metrics_sync_options options_;
  cron_tick tick_;
  runtime::steady_timers& timers_;

  instant begun_{};
  runtime::steady_time window_end_{};
  db::due_limits limits_{};
  bool is_cancelled_ = false;
  bool has_bug_ = false;
  bool is_list_under_way_ = false;

  // The list.
  bool is_list_skipped_ = false;
  bool is_list_complete_ = false;
  bool is_list_refused_ = false;
  bool is_list_end_told_ = true;
  std::int64_t next_page_ = 1;
  std::int64_t last_page_ = 1;
  /// Asked for and not here yet; with those that are being written.
  std::size_t pages_asked_ = 0;
  std::size_t pages_under_way_ = 0;
  std::int64_t pages_read_ = 0;
  std::int64_t pages_failed_ = 0;
  std::int64_t list_calls_ = 0;
  std::int64_t probe_calls_ = 0;
  std::int64_t listed_ = 0;

  // The servers.
  sync_lanes lanes_;
  std::array<source, 2> sources_;
  std::array<depth_figures, 2> depths_;
  bool is_due_counted_ = false;
  std::vector<server_id> failed_;
  std::vector<std::string_view> refused_depths_;

  // What was seen and is not written yet.
  observations pending_;
  runtime::steady_time pending_since_{};
  bool is_ending_ = false;
  bool is_all_written_ = false;
  std::int64_t unwritten_ = 0;

  /// For whoever runs the sync; for the writer; for the teller of progress.
  runtime::nudge changed_;
  runtime::nudge to_write_;
  runtime::nudge to_tell_;
};

} // namespace skyengine::actors
