#include "net/virtfusion/failure.hpp"

#include <boost/json.hpp>

#include <algorithm>
#include <array>
#include <charconv>
#include <stdexcept>
#include <utility>

namespace skyengine::net::virtfusion {

namespace {

namespace json = boost::json;

// A body of errors longer than this is no text for people; the rest is not read.
constexpr std::size_t max_collected = 4'096;

char lower(char c) noexcept {
  return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
}

bool contains_ignoring_case(std::string_view text, std::string_view needle) noexcept {
  return std::search(text.begin(), text.end(), needle.begin(), needle.end(),
                     [](char a, char b) { return lower(a) == lower(b); }) != text.end();
}

void collect(const json::value& value, std::string& into) {
  if (into.size() > max_collected)
    return;
  if (const auto* text = value.if_string()) {
    if (!into.empty())
      into += "; ";
    into.append(text->data(), text->size());
  } else if (const auto* list = value.if_array()) {
    for (const auto& item : *list)
      collect(item, into);
  } else if (const auto* members = value.if_object()) {
    for (const auto& [name, member] : *members) {
      std::string inner;
      collect(member, inner);
      if (inner.empty())
        continue;
      if (!into.empty())
        into += "; ";
      // {"errors": {"email": ["The email has already been taken."]}}
      into.append(name.data(), name.size()).append(": ").append(inner);
    }
  } else if (value.is_number()) {
    if (!into.empty())
      into += "; ";
    into += json::serialize(value);
  }
}

bool is_word(char c) noexcept {
  const auto l = lower(c);
  return (l >= 'a' && l <= 'z') || (c >= '0' && c <= '9') || c == '_' || c == '-';
}

/// Replaces what stands behind a word that names a secret: `"password":"x"`, `token=x`, `Bearer x`.
std::string without_secrets(std::string_view text) {
  static constexpr std::array<std::string_view, 5> names{"password", "token", "bearer", "secret",
                                                         "authorization"};
  std::string out;
  out.reserve(text.size());
  std::size_t at = 0;
  while (at < text.size()) {
    if (!is_word(text[at])) {
      out += text[at++];
      continue;
    }
    auto end = at;
    while (end < text.size() && is_word(text[end]))
      ++end;
    const auto word = text.substr(at, end - at);
    out += word;
    at = end;
    if (std::none_of(names.begin(), names.end(),
                     [&](auto name) { return contains_ignoring_case(word, name); }))
      continue;
    auto value = at;
    bool is_assigned = contains_ignoring_case(word, "bearer");
    // `"password" : "x"`, also as text inside JSON (`\"password\":\"x\"`).
    while (value < text.size() &&
           std::string_view{" \t\"'\\:=>"}.find(text[value]) != std::string_view::npos) {
      is_assigned = is_assigned || text[value] == ':' || text[value] == '=';
      ++value;
    }
    // "The password is too short": a sentence, no value.
    if (!is_assigned)
      continue;
    out += text.substr(at, value - at);
    const auto is_quoted = value > at && (text[value - 1] == '"' || text[value - 1] == '\'');
    const auto quote = is_quoted ? text[value - 1] : ' ';
    auto stop = value;
    if (contains_ignoring_case(text.substr(value, 7), "bearer "))
      stop = value + 7;
    while (stop < text.size() && text[stop] != quote &&
           (is_quoted || (text[stop] != ',' && text[stop] != '&' && text[stop] != '<' && text[stop] != '}')))
      ++stop;
    out += "***";
    at = stop;
  }
  return out;
}

/// The length of the well-formed UTF-8 sequence at the start of `text`, 0 when there is none.
std::size_t sequence_length(std::string_view text) noexcept {
  const auto byte = [&](std::size_t i) { return static_cast<unsigned char>(text[i]); };
  const auto lead = byte(0);
  const std::size_t length = lead < 0x80                    ? 1
                             : lead >= 0xC2 && lead <= 0xDF ? 2
                             : lead >= 0xE0 && lead <= 0xEF ? 3
                             : lead >= 0xF0 && lead <= 0xF4 ? 4
                                                            : 0;
  if (length == 0 || length > text.size())
    return 0;
  for (std::size_t i = 1; i < length; ++i)
    if ((byte(i) & 0xC0U) != 0x80)
      return 0;
  if ((lead == 0xE0 && byte(1) < 0xA0) || (lead == 0xED && byte(1) > 0x9F) ||
      (lead == 0xF0 && byte(1) < 0x90) || (lead == 0xF4 && byte(1) > 0x8F))
    return 0;
  return length;
}

bool is_control(std::string_view sequence) noexcept {
  const auto first = static_cast<unsigned char>(sequence[0]);
  if (sequence.size() == 1)
    return first < 0x20 || first == 0x7F;
  // U+0080 to U+009F: a terminal takes some of them for escapes.
  return sequence.size() == 2 && first == 0xC2 && static_cast<unsigned char>(sequence[1]) < 0xA0;
}

/// Valid UTF-8 without control characters; they and blanks become one blank, broken bytes become `?`.
std::string in_one_line(std::string_view text) {
  std::string out;
  bool is_gap = false;
  while (!text.empty()) {
    const auto length = sequence_length(text);
    const auto sequence = text.substr(0, std::max<std::size_t>(length, 1));
    text.remove_prefix(sequence.size());
    if (length != 0 && (sequence == " " || is_control(sequence))) {
      is_gap = !out.empty();
      continue;
    }
    if (std::exchange(is_gap, false))
      out += ' ';
    out += length == 0 ? std::string_view{"?"} : sequence;
  }
  return out;
}

/// What VirtFusion itself says in its JSON; nullopt for the page of a proxy.
std::optional<std::string> said_in(std::string_view body) {
  boost::system::error_code unreadable;
  const auto document = json::parse(body, unreadable);
  if (unreadable || !document.is_object())
    return std::nullopt;
  std::string text;
  for (const auto* const key : {"errors", "msg", "message", "error"}) {
    if (const auto* const found = document.get_object().if_contains(key))
      collect(*found, text);
    if (!text.empty())
      break;
  }
  return text;
}

/// `said`: VirtFusion's own words, nullopt for a page of somebody else, which may well speak of a server that
/// was not found.
call_failure::kind kind_of(operation op, unsigned status, const std::optional<std::string>& said) noexcept {
  using kind = call_failure::kind;
  switch (status) {
  case 401:
    return kind::unauthorized;
  case 403:
    return kind::forbidden;
  case 404:
    // Nobody's words, or no VirtFusion at this path: an error of the installation, which an operator mends.
    if (!said || op == operation::connect)
      return kind::refused;
    // Laravel's own 404 (a wrong path) looks much the same and says nothing about the server.
    if (op == operation::find_user)
      return contains_ignoring_case(*said, "ext_relation_id not found") ? kind::not_found_user
                                                                        : kind::rejected;
    return contains_ignoring_case(*said, "server not found") ? kind::not_found_server : kind::rejected;
  case 409:
    return kind::conflict;
  case 423:
    return kind::busy;
  case 429:
  case 503:
    return kind::refused;
  default:
    return status >= 400 && status < 500 ? kind::rejected : kind::unknown;
  }
}

} // namespace

bool call_failure::is_capacity() const noexcept {
  static constexpr std::array<std::string_view, 6> signs{
    "enough resources", "no hypervisor", "no available hypervisor",
    "insufficient",     "no free ip",    "no available ip"};
  return what == kind::rejected && std::any_of(signs.begin(), signs.end(),
                                               [&](auto sign) { return contains_ignoring_case(text, sign); });
}

error call_failure::as_error() const {
  const auto said = [&](std::string lead) {
    if (text.empty() || is_foreign)
      return status == 0 ? lead + "." : lead + " (status " + std::to_string(status) + ").";
    return lead + ": " + text;
  };
  switch (what) {
  case kind::overloaded:
    return {errc::overloaded, "Too many requests are waiting for VirtFusion.", {}, retry_after};
  case kind::not_sent:
  case kind::refused:
    return {errc::virtfusion_unavailable, "VirtFusion cannot be reached at the moment.", {}, retry_after};
  case kind::unauthorized:
    return {errc::virtfusion_unavailable, "VirtFusion does not accept our token.", {}, retry_after};
  case kind::unknown:
    return {errc::virtfusion_unavailable, "VirtFusion gave no usable answer.", {}, retry_after};
  case kind::busy:
    return {
      errc::virtfusion_busy, "VirtFusion is still working on another task of this server.", {}, retry_after};
  case kind::forbidden:
    return {errc::virtfusion_rejected, "Our VirtFusion token lacks the permission for this."};
  case kind::wrong_owner:
    return {errc::conflict, "The server belongs to another user in VirtFusion."};
  case kind::not_found_server:
    return {errc::virtfusion_rejected, "VirtFusion no longer has this server."};
  case kind::not_found_user:
    return {errc::virtfusion_rejected, "VirtFusion does not know this user."};
  case kind::conflict:
    return {errc::virtfusion_rejected, said("The server's state in VirtFusion does not allow this")};
  case kind::rejected:
    if (is_capacity())
      return {errc::capacity_exhausted, said("There is no room for this server")};
    return {errc::virtfusion_rejected, said("VirtFusion refused")};
  }
  return {errc::internal, "unexpected failure"};
}

std::string_view to_string(call_failure::kind what) noexcept {
  using kind = call_failure::kind;
  switch (what) {
  case kind::overloaded:
    return "overloaded";
  case kind::not_sent:
    return "not_sent";
  case kind::refused:
    return "refused";
  case kind::rejected:
    return "rejected";
  case kind::busy:
    return "busy";
  case kind::conflict:
    return "conflict";
  case kind::forbidden:
    return "forbidden";
  case kind::unauthorized:
    return "unauthorized";
  case kind::not_found_server:
    return "not_found_server";
  case kind::not_found_user:
    return "not_found_user";
  case kind::unknown:
    return "unknown";
  case kind::wrong_owner:
    return "wrong_owner";
  }
  return "unknown";
}

void throw_exception_from_error(const call_failure& e, const boost::source_location&) {
  throw std::logic_error("a failed call was read without a check: " + e.text);
}

std::optional<call_failure> failure_of(operation op, const answer& given) {
  if (given.is_success())
    return std::nullopt;
  const auto said = said_in(given.body);
  return call_failure{kind_of(op, given.status, said), given.status, text_of(given.body), given.retry_after,
                      !said};
}

std::string text_of(std::string_view body) {
  const auto said = said_in(body);
  return cleaned(said && !said->empty() ? std::string_view{*said} : body.substr(0, max_collected));
}

std::string words_of(std::string_view body) {
  return cleaned(said_in(body).value_or(""));
}

std::string cleaned(std::string_view text, std::size_t limit) {
  // Eight bytes for each character that may stay: blanks that fall together are cheap, an endless text is not
  // read.
  auto out = without_secrets(in_one_line(text.substr(0, 8 * limit)));
  std::size_t end = 0;
  for (std::size_t characters = 0; end < out.size() && characters < limit; ++characters)
    end += sequence_length(std::string_view{out}.substr(end));
  out.resize(end);
  if (out.ends_with(' '))
    out.pop_back();
  return out;
}

std::optional<std::chrono::seconds> parse_retry_after(std::string_view text, std::chrono::sys_seconds now) {
  constexpr std::chrono::seconds longest{3'600};
  while (!text.empty() && text.front() == ' ')
    text.remove_prefix(1);
  while (!text.empty() && text.back() == ' ')
    text.remove_suffix(1);
  if (text.empty())
    return std::nullopt;
  if (std::all_of(text.begin(), text.end(), [](char c) { return c >= '0' && c <= '9'; })) {
    std::int64_t seconds = 0;
    const auto [end, failed] = std::from_chars(text.data(), text.data() + text.size(), seconds);
    return failed == std::errc{} ? std::min(std::chrono::seconds{seconds}, longest) : longest;
  }
  const auto date = parse_http_date(text);
  if (!date)
    return std::nullopt;
  return std::clamp(std::chrono::duration_cast<std::chrono::seconds>(*date - now), std::chrono::seconds{0},
                    longest);
}

std::optional<std::chrono::sys_seconds> parse_http_date(std::string_view text) {
  static constexpr std::array<std::string_view, 12> months{"Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                                           "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};
  // "Sun, 06 Nov 1994 08:49:37 GMT"
  if (text.size() != 29 || text.substr(3, 2) != ", " || text[7] != ' ' || text[11] != ' ' ||
      text[16] != ' ' || text[19] != ':' || text[22] != ':' || text.substr(25) != " GMT")
    return std::nullopt;
  const auto number = [&](std::size_t at, std::size_t length) {
    int value = -1;
    const auto* const end = text.data() + at + length;
    const auto [stopped, failed] = std::from_chars(text.data() + at, end, value);
    return failed == std::errc{} && stopped == end && value >= 0 ? value : -1;
  };
  const auto month = std::find(months.begin(), months.end(), text.substr(8, 3));
  const auto day = number(5, 2);
  const auto year = number(12, 4);
  const auto hour = number(17, 2);
  const auto minute = number(20, 2);
  const auto second = number(23, 2);
  if (month == months.end() || day < 0 || year < 0 || hour < 0 || hour > 23 || minute < 0 || minute > 59 ||
      second < 0 || second > 60)
    return std::nullopt;
  const auto date = std::chrono::year{year} / static_cast<int>(month - months.begin() + 1) / day;
  if (!date.ok())
    return std::nullopt;
  return std::chrono::sys_days{date} + std::chrono::hours{hour} + std::chrono::minutes{minute} +
         std::chrono::seconds{second};
}

} // namespace skyengine::net::virtfusion
