#pragma once

#include <boost/asio/awaitable.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>

#include <cstddef>
#include <functional>
#include <string>
#include <utility>
#include <vector>

namespace skyengine::bench {

/// Keep-alive connections to one server: a request takes an idle one, else opens another. `loop` must outlive
/// it and be run by one thread.
class http_pool {
public:
  http_pool(boost::asio::io_context& loop, boost::asio::ip::tcp::endpoint to) : loop_(loop), to_(to) {}

  struct answer {
    /// 0: none came.
    unsigned status = 0;
    std::string body = {};
  };
  using headers = std::vector<std::pair<std::string, std::string>>;

  /// A body is sent as JSON.
  boost::asio::awaitable<answer>
  send(std::string method, std::string target, headers more = {}, std::string body = {});

  /// Closes them: after a while without requests the server does the same.
  void close_idle() { idle_.clear(); }

private:
  boost::asio::io_context& loop_;
  boost::asio::ip::tcp::endpoint to_;
  std::vector<boost::asio::ip::tcp::socket> idle_;
};

/// Begins `task(0)` to `task(count - 1)` at `rate` a second, each when it is due, whatever has become of
/// those before it, and runs the loop until all have ended. Milliseconds of those that answered true, each
/// from when it was due, so that a server which falls behind cannot hide it.
std::vector<double> run_open_loop(boost::asio::io_context& loop,
                                  double rate,
                                  std::size_t count,
                                  const std::function<boost::asio::awaitable<bool>(std::size_t)>& task);

} // namespace skyengine::bench
