#pragma once

#include "domain/error.hpp"

#include <string>
#include <string_view>

namespace skyengine::net::api {

/// Where a list goes on: the sort key of the last item shown, opaque to clients. It carries a check, so that
/// a made-up or damaged one, or one of another list, is noticed.
std::string make_cursor(std::string_view list, std::string_view key);

/// The sort key. errc::malformed_request when `cursor` is none that `make_cursor` gave for this list.
result<std::string> read_cursor(std::string_view list, std::string_view cursor);

} // namespace skyengine::net::api
