#pragma once

#include <boost/json.hpp>

#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

namespace skyengine::test {

/// An OpenAPI file that requests and answers are held against. Of JSON schema it knows what our file uses:
/// type, nullable, enum, minimum, maximum, required, properties, additionalProperties, items, allOf, anyOf,
/// oneOf, $ref.
class contract {
public:
  /// Throws std::runtime_error when the file cannot be read.
  explicit contract(const std::filesystem::path& file);
  /// The project's own `net/virtfusion/contract.yaml`, read once.
  static const contract& virtfusion();
  /// Our own `net/api/openapi.yaml`, read once.
  static const contract& api();

  /// What is wrong with a request; empty when nothing is. `target` is path and query below the API's base
  /// path.
  std::vector<std::string>
  check_request(std::string_view method, std::string_view target, std::string_view body) const;
  /// What is wrong with an answer to it. A status that the operation does not name is wrong too.
  std::vector<std::string> check_answer(std::string_view method,
                                        std::string_view target,
                                        unsigned status,
                                        std::string_view body) const;
  /// Method and path template of what a request asks for; empty when that is no operation.
  std::string operation_of(std::string_view method, std::string_view target) const;
  /// All of them, as in `POST /servers/{serverId}/build`.
  std::vector<std::string> operations() const;

private:
  struct match;
  match find(std::string_view method, std::string_view target) const;
  const boost::json::value& resolve(const boost::json::value& node) const;
  std::vector<std::string>
  misfits(const boost::json::value& value, const boost::json::value& schema, const std::string& at) const;
  std::vector<std::string> misfits_of_content(const boost::json::value& holder, std::string_view body) const;

  boost::json::value document_;
};

} // namespace skyengine::test
