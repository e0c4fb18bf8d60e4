#pragma once

#include "domain/error.hpp"
#include "domain/ids.hpp"
#include "net/http/message.hpp"

#include <chrono>
#include <optional>
#include <span>
#include <string_view>

namespace skyengine::net::api {

/// How users learn of an `errc`.
struct problem_kind {
  errc code;
  http::status status;
  std::string_view title;
  /// What Retry-After says when the error does not know better; nullopt: no such header.
  std::optional<std::chrono::seconds> retry_after;
};

/// One for every errc.
std::span<const problem_kind> problem_kinds() noexcept;
const problem_kind& problem_of(errc code) noexcept;

/// What a failed request left behind all the same.
struct problem_subject {
  std::optional<server_id> server = {};
  std::optional<action_id> action = {};
};

/// An RFC 9457 problem document.
http::response make_problem(const error& why, std::string_view request_id, problem_subject subject = {});

} // namespace skyengine::net::api
