#pragma once

#include "domain/error.hpp"
#include "tests/simulator/model.hpp"

#include <cstdint>
#include <string>

namespace skyengine::simulator {

/// How real and business time hang together.
struct clock_setting {
  /// Business seconds in a real one; 0: there is none yet.
  std::int64_t rate = 0;
  /// As it was asked for; empty where it was not.
  std::string origin = {};
  instant real_origin{};
  instant business_origin{};

  template <class Archive>
  static void fields(Archive& a, auto& x) {
    a("rate", x.rate);
    a("origin", x.origin);
    a("real_origin", x.real_origin);
    a("business_origin", x.business_origin);
  }
};

/// Keeps a model in a file: a snapshot, and behind it what changed since, a JSON object a line. What `append`
/// wrote survives the death of the process, though not that of the machine.
class state_file {
public:
  state_file() = default;
  ~state_file();
  state_file(const state_file&) = delete;
  state_file& operator=(const state_file&) = delete;

  /// Reads the file at `path`, if there is one, into the empty `m` and `clock`. A last line without its end
  /// was being written when the simulator died, before anybody was answered: it is dropped.
  result<> load(const std::string& path, model& m, clock_setting& clock);
  /// Writes a fresh snapshot, puts it in the file's place and appends to it from then on.
  result<> begin(const std::string& path, model& m, const clock_setting& clock);
  /// Writes what has changed in the model, and a new snapshot when the file has grown too long.
  result<> append(model& m);

private:
  result<> write(std::string_view text);

  std::string path_;
  clock_setting clock_;
  int file_ = -1;
  std::size_t snapshot_bytes_ = 0;
  std::size_t appended_bytes_ = 0;
};

} // namespace skyengine::simulator
