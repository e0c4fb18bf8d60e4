#include "net/api/field_reader.hpp"

#include <algorithm>

namespace skyengine::net::api {

namespace json = boost::json;

void field_faults::add(std::string field, std::string reason) {
  if (list_.size() < most)
    list_.push_back({std::move(field), std::move(reason)});
}

error field_faults::as_error() const {
  const auto& first = list_.front();
  auto detail = first.field.empty() ? first.reason : first.field + ": " + first.reason;
  if (list_.size() > 1)
    detail += " (and " + std::to_string(list_.size() - 1) + " more)";
  return {errc::invalid_request, std::move(detail), list_};
}

const json::value* field_reader::value(std::string_view name, presence need) {
  known_.push_back(name);
  const auto* found = object_.if_contains(name);
  const auto is_absent = found == nullptr || (found->is_null() && how_ == strictness::lenient);
  if (is_absent) {
    if (need == presence::required)
      fault(name, "is missing");
    return nullptr;
  }
  if (found->is_null()) {
    fault(name, "is null");
    return nullptr;
  }
  return found;
}

bool field_reader::is_null(std::string_view name) {
  known_.push_back(name);
  const auto* found = object_.if_contains(name);
  return found != nullptr && found->is_null();
}

std::optional<std::string>
field_reader::text(std::string_view name, presence need, result<> (*check)(std::string_view)) {
  const auto* found = value(name, need);
  if (found == nullptr)
    return std::nullopt;
  if (!found->is_string()) {
    fault(name, "is not a string");
    return std::nullopt;
  }
  std::string text{std::string_view{found->get_string()}};
  if (check != nullptr)
    if (const auto checked = check(text); !checked) {
      fault(name, checked.error().detail);
      return std::nullopt;
    }
  return text;
}

std::optional<std::int64_t>
field_reader::integer(std::string_view name, presence need, std::int64_t least, std::int64_t most) {
  const auto* found = value(name, need);
  if (found == nullptr)
    return std::nullopt;
  if (!found->is_int64() && !found->is_uint64()) {
    fault(name, "is not an integer");
    return std::nullopt;
  }
  const auto* number = found->if_int64();
  if (number == nullptr || *number < least || *number > most) {
    fault(name, most == std::numeric_limits<std::int64_t>::max()
                  ? "is less than " + std::to_string(least) + " or too large"
                  : "is not from " + std::to_string(least) + " to " + std::to_string(most));
    return std::nullopt;
  }
  return *number;
}

std::optional<bool> field_reader::boolean(std::string_view name, presence need) {
  const auto* found = value(name, need);
  if (found == nullptr)
    return std::nullopt;
  if (!found->is_bool()) {
    fault(name, "is neither true nor false");
    return std::nullopt;
  }
  return found->get_bool();
}

const json::object* field_reader::object(std::string_view name, presence need) {
  const auto* found = value(name, need);
  if (found != nullptr && !found->is_object()) {
    fault(name, "is not an object");
    return nullptr;
  }
  return found == nullptr ? nullptr : &found->get_object();
}

const json::array* field_reader::array(std::string_view name, presence need, std::size_t most) {
  const auto* found = value(name, need);
  if (found == nullptr)
    return nullptr;
  if (!found->is_array()) {
    fault(name, "is not an array");
    return nullptr;
  }
  if (found->get_array().size() > most) {
    fault(name, "has more than " + std::to_string(most) + " items");
    return nullptr;
  }
  return &found->get_array();
}

void field_reader::finish() {
  if (how_ == strictness::lenient)
    return;
  for (const auto& member : object_)
    if (std::find(known_.begin(), known_.end(), std::string_view{member.key()}) == known_.end())
      fault(member.key(), "is unknown");
}

} // namespace skyengine::net::api
