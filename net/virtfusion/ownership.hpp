#pragma once

#include "domain/ids.hpp"
#include "net/virtfusion/failure.hpp"
#include "net/virtfusion/records.hpp"

#include <optional>

namespace skyengine::net::virtfusion {

/// Nothing when `server` belongs to `user`. call_failure::kind::wrong_owner when VirtFusion says that it does
/// not, and unknown when the answer does not tell: a look that failed never means "belongs to someone else".
std::optional<call_failure> check_owner(const server_record& server, user_id user);

} // namespace skyengine::net::virtfusion
