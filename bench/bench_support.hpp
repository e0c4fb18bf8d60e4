#pragma once

#include <boost/asio/ip/tcp.hpp>

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

/// What the benches share: options, statistics, the line for programs, drivers of HTTP load.
namespace skyengine::bench {

struct options {
  /// A second or two in all: whether the bench works, not how fast the program is.
  bool is_smoke = false;
  int rounds = 1;
};

/// The `main` of a bench, with `[--smoke] [--rounds N]`: its exit code. What it throws is told and makes it
/// 1; any other argument makes it 2.
int run(int argc, char** argv, int rounds, int (*bench)(const options&));

struct figures {
  double median = 0;
  /// From the median.
  double deviation = 0;
};

figures summarise(std::vector<double> all);

/// The smallest of `all` that at least this `share` of them does not exceed; 0 of none.
double quantile(std::vector<double> all, double share);

/// The JSON line that ends a bench's output.
class summary {
public:
  explicit summary(std::string_view bench);

  summary& add(std::string_view name, std::string_view text);
  summary& add(std::string_view name, double value, int digits = 0);
  /// As `{"median": …, "deviation": …}`.
  summary& add(std::string_view name, const figures& value, int digits = 0);
  void print();

private:
  void begin(std::string_view name);

  std::string text_;
};

/// One request over and over.
struct http_load {
  boost::asio::ip::tcp::endpoint to;
  std::string target;
  std::vector<std::pair<std::string, std::string>> headers = {};
  std::size_t connections = 64;
};

/// Whether there is a `wrk`; without one the built-in driver, which is slower, stands in.
bool has_wrk();

/// Requests a second, by `wrk` for `seconds`; nullopt when an answer was missing or no success.
std::optional<double> drive_with_wrk(const http_load& load, int seconds);

/// The same by the built-in client, for so many requests.
std::optional<double> drive(const http_load& load, std::size_t requests);

/// One of the two, short where a smoke is asked for.
std::optional<double> drive(const http_load& load, const options& how);

/// A field of `/proc/PID/status` in KiB, as `VmRSS`; 0 when it cannot be read.
long memory_of(pid_t pid, std::string_view field);

/// The machine's load of the last minute, to be printed beside figures.
double load_average();

/// `http://127.0.0.1:PORT` as an endpoint.
boost::asio::ip::tcp::endpoint endpoint_of(std::string_view origin);

} // namespace skyengine::bench
