#pragma once

#include <boost/asio/io_context.hpp>

#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>

namespace skyengine::test {

/// Stands between a `db::database` and PostgreSQL, on the test's loop, and can cut a connection at its
/// COMMIT.
class postgres_proxy {
public:
  enum class at_commit : std::uint8_t {
    pass,
    /// COMMIT reaches PostgreSQL, its answer reaches nobody.
    lose_answer,
    /// COMMIT reaches nobody, both sides are cut.
    lose_request,
    /// The client is cut; PostgreSQL waits for the COMMIT until `release`.
    hold_request,
  };

  /// Forwards to the server of `url`. `folder` must be short enough for a socket's address.
  postgres_proxy(boost::asio::io_context& loop, const std::filesystem::path& folder, const std::string& url);
  ~postgres_proxy();
  postgres_proxy(const postgres_proxy&) = delete;
  postgres_proxy& operator=(const postgres_proxy&) = delete;

  /// The same database by way of this proxy.
  const std::string& url() const noexcept { return url_; }
  /// What happens at the next COMMIT; once.
  void next_commit(at_commit what) noexcept;
  /// True once `next_commit` has happened.
  bool has_cut() const noexcept;
  /// Sends the COMMIT that was held.
  void release();
  /// False: new connections are closed at once.
  void accept(bool yes) noexcept;
  /// Cuts all connections.
  void cut_all();

private:
  struct implementation;
  std::string url_;
  std::shared_ptr<implementation> implementation_;
};

} // namespace skyengine::test
