#include "config/setting_value.hpp"

#include "domain/utf8.hpp"

#include <arpa/inet.h>
#include <boost/url/parse.hpp>
#include <libpq-fe.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <memory>
#include <optional>

namespace skyengine::config {

namespace {

struct unit {
  std::string_view name;
  std::int64_t factor;
};

// From small to large.
constexpr auto time_units = std::to_array<unit>({{"ms", 1}, {"s", 1'000}, {"m", 60'000}, {"h", 3'600'000}});
constexpr auto byte_units = std::to_array<unit>({{"", 1}, {"KiB", 1'024}, {"MiB", 1'048'576}});

/// Digits alone: no sign, no space.
std::optional<std::int64_t> parse_number(std::string_view text) {
  std::int64_t number = 0;
  const auto* const end = text.data() + text.size();
  const auto [rest, failure] = std::from_chars(text.data(), end, number);
  if (text.empty() || text.front() == '-' || failure != std::errc{} || rest != end)
    return std::nullopt;
  return number;
}

template <std::size_t N>
std::optional<std::int64_t> parse_quantity(std::string_view text, const std::array<unit, N>& units) {
  const auto digits = std::min(text.size(), text.find_first_not_of("0123456789"));
  const auto number = parse_number(text.substr(0, digits));
  const auto* const found = std::find_if(
    units.begin(), units.end(), [name = text.substr(digits)](const unit& u) { return u.name == name; });
  std::int64_t product = 0;
  if (!number || found == units.end() || __builtin_mul_overflow(*number, found->factor, &product))
    return std::nullopt;
  return product;
}

/// In the largest unit that leaves a whole number: 90 s are `90s`, 600 s are `10m`. The smallest one is 1.
template <std::size_t N>
std::string in_words(std::int64_t quantity, const std::array<unit, N>& units) {
  if (quantity == 0)
    return "0";
  auto largest = units.front();
  for (const auto& u : units)
    if (quantity % u.factor == 0)
      largest = u;
  return std::to_string(quantity / largest.factor) + std::string{largest.name};
}

std::vector<std::string_view> split(std::string_view text, char separator) {
  std::vector<std::string_view> parts;
  while (true) {
    const auto end = text.find(separator);
    parts.push_back(text.substr(0, end));
    if (end == std::string_view::npos)
      return parts;
    text.remove_prefix(end + 1);
  }
}

std::string_view trim(std::string_view text) {
  const auto first = text.find_first_not_of(' ');
  return first == std::string_view::npos ? "" : text.substr(first, text.find_last_not_of(' ') - first + 1);
}

bool is_plain(std::string_view text) {
  return std::all_of(text.begin(), text.end(), [](char c) { return c > ' ' && c < '\x7f'; });
}

std::optional<value> parse_url(std::string_view text) {
  const auto url = boost::urls::parse_uri(text);
  if (!url || (url->scheme() != "https" && url->scheme() != "http") || url->host().empty() ||
      url->has_userinfo() || url->has_query() || url->has_fragment())
    return std::nullopt;
  // A host alone is the usual way to write it; a path, be it only `/`, is what its writer wants.
  return std::string{text} + (url->encoded_path().empty() ? "/api/v1" : "");
}

using conninfo = std::unique_ptr<PQconninfoOption, decltype(&PQconninfoFree)>;

/// libpq's words without what it quotes of a connection string, which may be the password.
std::string without_quotes(std::string message) {
  if (message.starts_with("missing \"=\""))
    return "a = is missing; a value with blanks stands in single quotes";
  const auto first = message.find('"');
  const auto last = message.rfind('"');
  if (first != std::string::npos)
    message.replace(first, last - first + 1, "…");
  return message.substr(0, message.find('\n'));
}

bool is_port(std::string_view text) {
  const auto port = parse_number(text);
  return port && *port >= 1 && *port <= 65'535;
}

/// Why `text` is no way to a database; empty when it is one. Never repeats a part of it.
std::string database_fault(std::string_view text) {
  const auto is_url = text.starts_with("postgresql://") || text.starts_with("postgres://");
  if (!is_url && text.find('=') == std::string_view::npos)
    return "this is neither";
  if (!is_plain_text(text))
    return "it has control characters";
  char* message = nullptr;
  const conninfo parsed{PQconninfoParse(std::string{text}.c_str(), &message), PQconninfoFree};
  const std::unique_ptr<char, decltype(&PQfreemem)> freed{message, PQfreemem};
  if (!parsed)
    return without_quotes(message != nullptr ? message : "out of memory");
  for (const auto* option = parsed.get(); option->keyword != nullptr; ++option) {
    const std::string_view keyword = option->keyword;
    const std::string_view given = option->val != nullptr ? option->val : "";
    if (keyword == "host" && given.find('@') != std::string_view::npos)
      return "there is an @ in its host: in a password it is written %40";
    if (keyword == "port" && !given.empty()) {
      const auto ports = split(given, ',');
      // An empty one of several is the usual one.
      if (!std::all_of(ports.begin(), ports.end(), [](auto port) { return port.empty() || is_port(port); }))
        return "its port is not a number of 1 to 65535";
    }
  }
  return {};
}

std::optional<value> parse_address(std::string_view text) {
  const auto colon = text.rfind(':');
  if (colon == std::string_view::npos)
    return std::nullopt;
  auto host = text.substr(0, colon);
  const auto port = parse_number(text.substr(colon + 1));
  if (host.starts_with('[') && host.ends_with(']'))
    host = host.substr(1, host.size() - 2);
  else if (host.find(':') != std::string_view::npos)
    return std::nullopt;
  if (host.empty() || !is_plain(host) || !port || *port > 65'535)
    return std::nullopt;
  return listen_address{std::string{host}, static_cast<std::uint16_t>(*port)};
}

/// In the form that a socket's own address has.
std::optional<std::string> canonical_ip(const std::string& text) {
  std::array<unsigned char, sizeof(in6_addr)> bytes{};
  std::array<char, INET6_ADDRSTRLEN> canonical{};
  for (const auto family : {AF_INET, AF_INET6})
    if (inet_pton(family, text.c_str(), bytes.data()) == 1 &&
        inet_ntop(family, bytes.data(), canonical.data(), canonical.size()) != nullptr)
      return std::string{canonical.data()};
  return std::nullopt;
}

std::optional<value> parse_addresses(std::string_view text) {
  std::vector<std::string> addresses;
  if (trim(text).empty())
    return addresses;
  for (const auto part : split(text, ',')) {
    const auto address = is_plain(trim(part)) ? canonical_ip(std::string{trim(part)}) : std::nullopt;
    if (!address)
      return std::nullopt;
    addresses.push_back(*address);
  }
  return addresses;
}

std::optional<value> in_range(const std::optional<std::int64_t>& number, const value_type& type) {
  if (!number || *number < type.least || *number > type.most)
    return std::nullopt;
  return *number;
}

std::optional<value> parse(const value_type& type, std::string_view text) {
  switch (type.kind) {
  case value_kind::text:
    return is_plain_text(text) && static_cast<std::int64_t>(text.size()) <= type.most
             ? std::optional<value>{std::string{text}}
             : std::nullopt;
  case value_kind::url:
    return text.empty() ? std::string{} : parse_url(text);
  case value_kind::database:
    return text.empty() || database_fault(text).empty() ? std::optional<value>{std::string{text}}
                                                        : std::nullopt;
  case value_kind::token:
    return is_plain(text) ? std::optional<value>{std::string{text}} : std::nullopt;
  case value_kind::integer:
    return in_range(parse_number(text), type);
  case value_kind::size:
    return in_range(parse_quantity(text, byte_units), type);
  case value_kind::boolean:
    if (text == "true" || text == "1")
      return true;
    return text == "false" || text == "0" ? std::optional<value>{false} : std::nullopt;
  case value_kind::duration: {
    const auto span = in_range(text == "0" ? 0 : parse_quantity(text, time_units), type);
    return span ? std::optional<value>{std::chrono::milliseconds{std::get<std::int64_t>(*span)}}
                : std::nullopt;
  }
  case value_kind::address:
    return parse_address(text);
  case value_kind::addresses:
    return parse_addresses(text);
  case value_kind::choice: {
    const auto words = split(type.words, '|');
    const auto found = std::find(words.begin(), words.end(), text);
    return found == words.end() ? std::nullopt : std::optional<value>{std::int64_t{found - words.begin()}};
  }
  }
  return std::nullopt;
}

std::string range(const std::string& least, const std::string& most, bool has_most) {
  return has_most ? "of " + least + " to " + most : "of at least " + least;
}

} // namespace

result<value> parse_value(const value_type& type, std::string_view text) {
  auto parsed = parse(type, text);
  if (!parsed)
    return error{errc::invalid_request,
                 "it is " + allowed(type) +
                   (type.kind == value_kind::database ? " (" + database_fault(text) + ")" : std::string{})};
  return std::move(*parsed);
}

std::string allowed(const value_type& type) {
  const auto has_most = type.most != std::numeric_limits<std::int64_t>::max();
  switch (type.kind) {
  case value_kind::text:
    return "a text of at most " + std::to_string(type.most) + " bytes without control characters";
  case value_kind::url:
    return "a URL as in https://panel.example.com, without user, query and fragment";
  case value_kind::database:
    return "a URL as in postgresql://user@host/database, or a libpq connection string";
  case value_kind::token:
    return "printable ASCII without spaces";
  case value_kind::integer:
    return "a whole number " + range(std::to_string(type.least), std::to_string(type.most), has_most);
  case value_kind::size:
    return "a size " + range(in_words(type.least, byte_units), in_words(type.most, byte_units), has_most) +
           ", in bytes or as in 16KiB, 1MiB";
  case value_kind::boolean:
    return "true or false";
  case value_kind::duration:
    return "a duration " +
           range(in_words(type.least, time_units), in_words(type.most, time_units), has_most) +
           ", as in 500ms, 90s, 10m, 1h";
  case value_kind::address:
    return "host:port, as in 127.0.0.1:8080 or [::1]:8080";
  case value_kind::addresses:
    return "IP addresses with commas between";
  case value_kind::choice: {
    std::string words;
    for (const auto word : split(type.words, '|'))
      words += (words.empty() ? "" : ", ") + std::string{word};
    return "one of " + words;
  }
  }
  return {};
}

} // namespace skyengine::config
