#pragma once

#include "db/database.hpp"

#include <boost/asio/awaitable.hpp>

#include <cstdint>
#include <string>
#include <vector>

namespace skyengine::db {

/// One thing that always holds, and how often it does not.
struct invariant {
  std::string name;
  std::int64_t checked = 0;
  std::int64_t violations = 0;
};

/// Rows of `name, checked, violations`.
std::vector<invariant> to_invariants(const rows& found);

/// Every invariant of design 4 that the tables have, read in one snapshot.
asio::awaitable<result<std::vector<invariant>>> audit(database& db);

} // namespace skyengine::db
