#pragma once

#include "tests/support/process.hpp"

#include <boost/json.hpp>

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace skyengine::test {

/// What came back of one request.
struct call_answer {
  /// 0: no whole answer came, see `failure`.
  unsigned status = 0;
  std::string body = {};
  std::string content_type = {};
  std::string retry_after = {};
  /// Why there is no answer, as Asio or Beast say it.
  std::string failure = {};

  /// The body; a null where it is no JSON.
  boost::json::value json() const;
};

/// One request on a connection of its own; blocks until its answer is whole, the connection ends or
/// `patience` is over. `url` is `http://address:port/path?query`.
call_answer http_call(std::string_view method,
                      const std::string& url,
                      const std::string& body = {},
                      const std::vector<std::pair<std::string, std::string>>& headers = {},
                      std::chrono::milliseconds patience = std::chrono::seconds{20});

/// A virtfusion-simulator on a free port, as a process.
class simulated_panel {
public:
  static constexpr const char* token = "simulated-token";

  /// Starts it with `options` besides `--listen` and `--token`. Throws std::runtime_error when it does not
  /// come up.
  explicit simulated_panel(std::vector<std::string> options = {});

  /// `http://127.0.0.1:PORT/api/v1`
  const std::string& url() const noexcept { return url_; }
  process& child() noexcept { return *child_; }
  /// Sees every request that `api` makes, and what came of it.
  using observer = std::function<void(
    std::string_view method, std::string_view path, const std::string& body, const call_answer& answer)>;
  void observe(observer sees) { observer_ = std::move(sees); }

  /// A request to the API, with the token; `path` begins behind `/api/v1`.
  call_answer api(std::string_view method, std::string_view path, const std::string& body = {}) const;
  call_answer api(std::string_view method, std::string_view path, const boost::json::object& body) const;

  // The control side. These throw std::runtime_error when it refuses.
  /// As in `{{"operation", "POST /servers"}, {"kind", "lost_answer"}, {"count", 1}}`.
  void add_fault(const boost::json::object& fault) const;
  void clear_faults() const;
  /// `{users, servers, schedules}`, the whole truth.
  boost::json::object state() const;
  /// That of one server; an empty object when there never was one.
  boost::json::object server(std::int64_t id) const;
  boost::json::object requests() const;
  void reset_requests() const;
  void make_servers(std::int64_t count, std::int64_t users) const;
  void patch_server(std::int64_t id, const boost::json::object& change) const;
  void erase_server(std::int64_t id) const;

  /// Asks until `holds`; false when it does not within 20 s.
  static bool wait_until(const std::function<bool()>& holds);
  /// Asks for the state until `holds`; false when it does not within 20 s.
  bool wait_for_state(const std::function<bool(const boost::json::object& state)>& holds) const;

  void kill() { child_->kill(); }
  /// Starts it again on the same port, with the same options. Only what `--state` keeps is still there.
  void restart();

private:
  void start(const std::string& listen);
  call_answer control(std::string_view method, std::string_view path, const std::string& body = {}) const;

  std::vector<std::string> options_;
  std::unique_ptr<process> child_;
  observer observer_;
  std::string url_;
  std::string origin_;
};

} // namespace skyengine::test
