#pragma once

#include "domain/error.hpp"

#include <string>
#include <string_view>
#include <vector>

namespace skyengine::net::http {

struct query_parameter {
  std::string name;
  std::string value;
  friend bool operator==(const query_parameter&, const query_parameter&) = default;
};

/// Undoes percent-encoding of a path's segment; `+` stays. errc::malformed_request: a `%` without two
/// hexadecimal digits, or what it encodes is a control character or no UTF-8.
result<std::string> decode_segment(std::string_view segment);

/// The segments of an absolute path, decoded after it was cut at `/`, so that `%2F` is part of a segment:
/// `/v1/a%2Fb` is `{"v1", "a/b"}`, `/` has none, a trailing `/` makes an empty one. errc::malformed_request
/// as above, and for `.` and `..`, which no route has.
result<std::vector<std::string>> path_segments(std::string_view path);

/// What stands behind `?`: `a=1&b` is `{{"a", "1"}, {"b", ""}}`, in order, repetitions kept, `+` read as a
/// space. errc::malformed_request as above, or more than 100 parameters.
result<std::vector<query_parameter>> parse_query(std::string_view query);

/// Encodes everything but letters, digits and `-._~`, for use as a segment or in a query.
std::string encode_component(std::string_view text);

/// `name=value&…`, encoded, without `?`.
std::string make_query(const std::vector<query_parameter>& parameters);

} // namespace skyengine::net::http
