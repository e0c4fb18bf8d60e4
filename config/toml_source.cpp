#include "config/setting_sources.hpp"
#include "config/setting_table.hpp"

#include <optional>

// toml++ 3.3 asserts what a malformed file breaks (`[[[`): with assertions it aborts, with NDEBUG it promises
// the compiler the contrary. The checks that stand behind each of them are right, so the assertions are left
// out.
#undef NDEBUG
#define TOML_ASSERT(expression) static_cast<void>(0)
#define TOML_EXCEPTIONS 0
#define TOML_ENABLE_FORMATTERS 0
#include <toml++/toml.h>

namespace skyengine::config {

namespace {

std::string origin(const toml::node& node, const std::string& name) {
  return "line " + std::to_string(node.source().begin.line) + " of " + name;
}

/// The strings of a list, with commas between; nullopt when it holds something else.
std::optional<std::string> join(const toml::array& list) {
  std::string joined;
  for (const auto& element : list) {
    const auto text = element.value_exact<std::string>();
    if (!text || text->find(',') != std::string::npos)
      return std::nullopt;
    joined += (joined.empty() ? "" : ",") + *text;
  }
  return joined;
}

/// The value as the environment would have it; nullopt when TOML's type is not the setting's.
std::optional<std::string> to_text(const toml::node& node, value_kind kind) {
  switch (kind) {
  case value_kind::boolean:
    if (const auto flag = node.value_exact<bool>())
      return *flag ? "true" : "false";
    return std::nullopt;
  case value_kind::integer:
  case value_kind::size:
    if (const auto number = node.value_exact<std::int64_t>())
      return std::to_string(*number);
    return kind == value_kind::size ? node.value_exact<std::string>() : std::nullopt;
  case value_kind::duration:
    if (node.value_exact<std::int64_t>() == 0)
      return "0";
    return node.value_exact<std::string>();
  case value_kind::addresses:
    return node.is_array() ? join(*node.as_array()) : std::nullopt;
  case value_kind::text:
  case value_kind::url:
  case value_kind::database:
  case value_kind::token:
  case value_kind::address:
  case value_kind::choice:
    break;
  }
  return node.value_exact<std::string>();
}

std::string_view toml_type(value_kind kind) {
  switch (kind) {
  case value_kind::boolean:
    return "true or false, without quotes";
  case value_kind::integer:
    return "a whole number, without quotes";
  case value_kind::size:
    return "a whole number of bytes, or a string as in \"16KiB\"";
  case value_kind::duration:
    return "a string as in \"90s\", or 0";
  case value_kind::addresses:
    return "a list of strings";
  case value_kind::text:
  case value_kind::url:
  case value_kind::database:
  case value_kind::token:
  case value_kind::address:
  case value_kind::choice:
    break;
  }
  return "a string";
}

void collect(const toml::table& table, const std::string& prefix, const std::string& name, source& into) {
  for (const auto& [key, node] : table) {
    const auto full = prefix + std::string{key.str()};
    const auto* const known = find_setting(full);
    if (known != nullptr) {
      if (auto text = to_text(node, known->type.kind))
        into.values[full] = {std::move(*text), origin(node, name)};
      else
        into.mistakes.push_back({full, "in the file it is " + std::string{toml_type(known->type.kind)} +
                                         " (" + origin(node, name) + ")"});
    } else if (node.is_table() && prefix.empty()) {
      collect(*node.as_table(), full + '.', name, into);
    } else {
      into.mistakes.push_back({full, "there is no such setting (" + origin(node, name) + ")"});
    }
  }
}

} // namespace

source read_toml(std::string_view text, const std::string& name) {
  source found;
  const auto parsed = toml::parse(text);
  if (!parsed) {
    const auto& failure = parsed.error();
    found.mistakes.push_back({name, "line " + std::to_string(failure.source().begin.line) + ", column " +
                                      std::to_string(failure.source().begin.column) + ": not TOML"});
    return found;
  }
  collect(parsed.table(), "", name, found);
  return found;
}

} // namespace skyengine::config
