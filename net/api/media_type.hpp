#pragma once

#include <cstddef>
#include <optional>
#include <span>
#include <string_view>

namespace skyengine::net::api {

/// Whether a Content-Type is `application/json`, in UTF-8 if it names a charset.
bool is_json(std::string_view content_type) noexcept;

/// The index of the type in `offers` that `accept` (an Accept header; empty: none) likes best, the first of
/// several; nullopt when it takes none of them.
std::optional<std::size_t> negotiate(std::string_view accept, std::span<const std::string_view> offers);

} // namespace skyengine::net::api
