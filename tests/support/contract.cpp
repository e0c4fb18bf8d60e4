#include "tests/support/contract.hpp"

#include <yaml-cpp/yaml.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <optional>
#include <stdexcept>

namespace skyengine::test {
namespace {

namespace json = boost::json;

json::value to_json(const YAML::Node& node) {
  if (node.IsMap()) {
    json::object out;
    for (const auto& entry : node)
      out[entry.first.as<std::string>()] = to_json(entry.second);
    return out;
  }
  if (node.IsSequence()) {
    json::array out;
    for (const auto& item : node)
      out.push_back(to_json(item));
    return out;
  }
  if (node.IsNull())
    return nullptr;
  const auto text = node.as<std::string>();
  // A quoted scalar is a text, whatever it looks like.
  if (node.Tag() == "!")
    return json::string{text};
  boost::system::error_code failed;
  auto parsed = json::parse(text, failed);
  if (!failed && (parsed.is_number() || parsed.is_bool() || parsed.is_null()))
    return parsed;
  return json::string{text};
}

std::string_view text_of(const json::value& v) {
  return {v.as_string().data(), v.as_string().size()};
}

const json::value* member(const json::value& of, std::string_view name) {
  const auto* const object = of.if_object();
  return object ? object->if_contains(name) : nullptr;
}

std::string_view type_of(const json::value& v) {
  if (v.is_null())
    return "null";
  if (v.is_bool())
    return "boolean";
  if (v.is_int64() || v.is_uint64())
    return "integer";
  if (v.is_double())
    return "number";
  if (v.is_string())
    return "string";
  return v.is_array() ? "array" : "object";
}

std::vector<std::string_view> split(std::string_view text, char by) {
  std::vector<std::string_view> parts;
  for (;;) {
    const auto end = text.find(by);
    parts.push_back(text.substr(0, end));
    if (end == std::string_view::npos)
      return parts;
    text.remove_prefix(end + 1);
  }
}

/// A path or query parameter, as the type that its schema asks for.
json::value typed(std::string_view text, std::string_view type) {
  if (type == "string")
    return json::string{json::string_view{text.data(), text.size()}};
  boost::system::error_code failed;
  auto parsed = json::parse(json::string_view{text.data(), text.size()}, failed);
  return failed ? json::value(json::string_view{text.data(), text.size()}) : parsed;
}

void append(std::vector<std::string>& to, std::vector<std::string> more) {
  to.insert(to.end(), std::make_move_iterator(more.begin()), std::make_move_iterator(more.end()));
}

} // namespace

/// An operation with the values of its path.
struct contract::match {
  const json::value* operation = nullptr;
  const json::value* path_item = nullptr;
  std::string name = {};
  std::vector<std::pair<std::string, std::string>> path_values = {};
};

contract::contract(const std::filesystem::path& file) {
  try {
    document_ = to_json(YAML::LoadFile(file.string()));
  } catch (const YAML::Exception& e) {
    throw std::runtime_error{file.string() + ": " + e.what()};
  }
}

const contract& contract::virtfusion() {
  static const contract loaded{SKYENGINE_VIRTFUSION_CONTRACT};
  return loaded;
}

const contract& contract::api() {
  static const contract loaded{SKYENGINE_API_CONTRACT};
  return loaded;
}

const json::value& contract::resolve(const json::value& node) const {
  const auto* current = &node;
  while (const auto* const reference = member(*current, "$ref")) {
    current = &document_;
    for (const auto part : split(text_of(*reference).substr(2), '/')) {
      current = member(*current, part);
      if (!current)
        throw std::runtime_error{"nothing is at " + std::string{text_of(*reference)}};
    }
  }
  return *current;
}

contract::match contract::find(std::string_view method, std::string_view target) const {
  const auto wanted = split(target.substr(0, target.find('?')), '/');
  std::string key{method};
  std::transform(key.begin(), key.end(), key.begin(),
                 [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  std::optional<match> best;
  for (const auto& [path, item] : document_.at("paths").as_object()) {
    const auto* const operation = member(item, key);
    const std::string_view pattern{path.data(), path.size()};
    const auto parts = split(pattern, '/');
    if (!operation || parts.size() != wanted.size())
      continue;
    match found{operation, &item, std::string{method} + ' ' + std::string{pattern}};
    const bool fits = std::equal(parts.begin(), parts.end(), wanted.begin(), [&](auto part, auto value) {
      if (!part.starts_with('{'))
        return part == value;
      found.path_values.emplace_back(part.substr(1, part.size() - 2), value);
      return !value.empty();
    });
    // The fewer values, the more of the path is spelled out: /servers/user/{userId} before
    // /servers/{serverId}/….
    if (fits && (!best || found.path_values.size() < best->path_values.size()))
      best = std::move(found);
  }
  return best.value_or(match{});
}

std::string contract::operation_of(std::string_view method, std::string_view target) const {
  return find(method, target).name;
}

std::vector<std::string> contract::operations() const {
  constexpr std::array<std::pair<std::string_view, std::string_view>, 5> methods{
    {{"get", "GET"}, {"post", "POST"}, {"put", "PUT"}, {"patch", "PATCH"}, {"delete", "DELETE"}}};
  std::vector<std::string> out;
  for (const auto& [path, item] : document_.at("paths").as_object())
    for (const auto& [key, method] : methods)
      if (member(item, key))
        out.push_back(std::string{method} + ' ' + std::string{path});
  return out;
}

std::vector<std::string>
contract::misfits(const json::value& value, const json::value& unresolved, const std::string& at) const {
  const auto& schema = resolve(unresolved);
  if (const auto* const all = member(schema, "allOf"))
    for (const auto& part : all->as_array())
      if (auto wrong = misfits(value, part, at); !wrong.empty())
        return wrong;
  for (const auto* const group : {"anyOf", "oneOf"})
    if (const auto* const alternatives = member(schema, group)) {
      std::vector<std::string> wrong;
      for (const auto& alternative : alternatives->as_array()) {
        auto tried = misfits(value, alternative, at);
        if (tried.empty()) {
          wrong.clear();
          break;
        }
        append(wrong, std::move(tried));
      }
      if (!wrong.empty())
        return wrong;
    }
  const auto* const nullable = member(schema, "nullable");
  if (value.is_null() && nullable && nullable->as_bool())
    return {};
  if (const auto* const type = member(schema, "type"))
    if (const auto found = type_of(value);
        found != text_of(*type) && !(text_of(*type) == "number" && found == "integer"))
      return {at + " is " + std::string{found} + " and should be " + std::string{text_of(*type)}};
  if (const auto* const choice = member(schema, "enum"))
    if (std::find(choice->as_array().begin(), choice->as_array().end(), value) == choice->as_array().end())
      return {at + " is " + json::serialize(value) + ", which is none of " + json::serialize(*choice)};
  if (value.is_number()) {
    const auto number = value.to_number<double>();
    const auto* const least = member(schema, "minimum");
    const auto* const most = member(schema, "maximum");
    if ((least && number < least->to_number<double>()) || (most && number > most->to_number<double>()))
      return {at + " is " + json::serialize(value) + ", out of range"};
  }
  std::vector<std::string> wrong;
  if (const auto* const object = value.if_object()) {
    if (const auto* const required = member(schema, "required"))
      for (const auto& name : required->as_array())
        if (!object->contains(name.as_string()))
          wrong.push_back(at + '.' + std::string{text_of(name)} + " is missing");
    const auto* const properties = member(schema, "properties");
    const auto* const others = member(schema, "additionalProperties");
    for (const auto& [name, item] : *object) {
      const auto inside = at + '.' + std::string{name};
      if (const auto* const known = properties ? properties->as_object().if_contains(name) : nullptr)
        append(wrong, misfits(item, *known, inside));
      else if (others && others->is_object())
        append(wrong, misfits(item, *others, inside));
      else if (others && !others->as_bool())
        wrong.push_back(inside + " is unknown");
    }
  } else if (const auto* const array = value.if_array()) {
    if (const auto* const items = member(schema, "items"))
      for (std::size_t i = 0; i < array->size(); ++i)
        append(wrong, misfits(array->at(i), *items, at + '[' + std::to_string(i) + ']'));
  }
  return wrong;
}

std::vector<std::string> contract::misfits_of_content(const json::value& holder,
                                                      std::string_view body) const {
  const auto* const content = member(holder, "content");
  if (!content)
    return body.empty() ? std::vector<std::string>{} : std::vector<std::string>{"there should be no body"};
  const auto* const plain = member(*content, "application/json");
  const auto* const media = plain ? plain : member(*content, "application/problem+json");
  if (!media)
    return {};
  boost::system::error_code failed;
  const auto parsed = json::parse(json::string_view{body.data(), body.size()}, failed);
  if (failed)
    return {"the body is no JSON: " + failed.message()};
  return misfits(parsed, media->at("schema"), "body");
}

std::vector<std::string>
contract::check_request(std::string_view method, std::string_view target, std::string_view body) const {
  const auto found = find(method, target);
  if (!found.operation)
    return {std::string{method} + ' ' + std::string{target} + " is no operation"};
  auto values = found.path_values;
  for (auto& value : values)
    value.first += " in path";
  if (const auto question = target.find('?'); question != std::string_view::npos)
    for (const auto pair : split(target.substr(question + 1), '&'))
      values.emplace_back(std::string{pair.substr(0, pair.find('='))} + " in query",
                          std::string{pair.substr(std::min(pair.find('='), pair.size() - 1) + 1)});
  std::vector<std::string> wrong;
  std::vector<const json::value*> parameters;
  for (const auto* const holder : {found.path_item, found.operation})
    if (const auto* const list = member(*holder, "parameters"))
      for (const auto& parameter : list->as_array())
        parameters.push_back(&resolve(parameter));
  for (const auto& [name, text] : values) {
    const auto declared = std::find_if(parameters.begin(), parameters.end(), [&](const auto* p) {
      return std::string{text_of(p->at("name"))} + " in " + std::string{text_of(p->at("in"))} == name;
    });
    if (declared == parameters.end()) {
      wrong.push_back(name + " is unknown");
      continue;
    }
    const auto& schema = resolve((*declared)->at("schema"));
    append(wrong, misfits(typed(text, text_of(schema.at("type"))), schema, name));
  }
  const auto* const declared_body = member(*found.operation, "requestBody");
  append(wrong, misfits_of_content(declared_body ? resolve(*declared_body) : json::value(nullptr), body));
  return wrong;
}

std::vector<std::string> contract::check_answer(std::string_view method,
                                                std::string_view target,
                                                unsigned status,
                                                std::string_view body) const {
  const auto found = find(method, target);
  if (!found.operation)
    return {std::string{method} + ' ' + std::string{target} + " is no operation"};
  const auto* const declared = member(found.operation->at("responses"), std::to_string(status));
  if (!declared)
    return {found.name + " does not answer " + std::to_string(status)};
  return misfits_of_content(resolve(*declared), body);
}

} // namespace skyengine::test
