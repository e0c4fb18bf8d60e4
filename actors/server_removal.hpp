#pragma once

#include "actors/saga_run.hpp"

#include <chrono>
#include <cstdint>
#include <string>

namespace skyengine::actors {

/// A saga that may have to take its server away from VirtFusion.
class server_removal : public saga_run {
public:
  using saga_run::saga_run;

protected:
  enum class removal : std::uint8_t {
    /// VirtFusion says that there is no such server.
    gone,
    interrupted,
    /// It stays: VirtFusion refuses, and an operator gave the delete up.
    abandoned,
  };

  /// Deletes our server in VirtFusion and waits until VirtFusion says that it is gone.
  awaitable<removal> remove_from_virtfusion();

  // What VirtFusion said when it last refused to delete the server; empty when it has not, or took it since.
  std::string refusal_;

private:
  /// VirtFusion has refused, and whatever was sent before has had its time: nothing on its way can still
  /// remove the server.
  bool is_surely_kept() const { return !refusal_.empty() && now() >= delete_settled_; }
  void note_refusal(const std::string& text);
  std::chrono::milliseconds until_settled() const;

  // When no delete that was sent can take effect any more.
  runtime::steady_time delete_settled_{};
};

} // namespace skyengine::actors
