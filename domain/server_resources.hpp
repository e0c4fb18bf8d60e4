#pragma once

#include <cstdint>

namespace skyengine {

/// What a package gives and a server has. A part that VirtFusion did not name is 0.
struct server_resources {
  std::int64_t memory_mb = 0;
  std::int64_t storage_gb = 0;
  /// 0: no limit.
  std::int64_t traffic_gb = 0;
  std::int64_t cpu_cores = 0;
  friend bool operator==(const server_resources&, const server_resources&) = default;
};

} // namespace skyengine
