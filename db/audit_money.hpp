#pragma once

#include "db/audit.hpp"

namespace skyengine::db {

/// The invariants of charges and ledger, in the snapshot of `t`.
asio::awaitable<result<std::vector<invariant>>> audit_money(transaction& t);

} // namespace skyengine::db
