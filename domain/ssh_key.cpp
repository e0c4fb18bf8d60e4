#include "domain/ssh_key.hpp"

#include "domain/base64.hpp"

#include <algorithm>
#include <array>
#include <cstdint>
#include <optional>

namespace skyengine {

namespace {

// An RSA key of 16,384 bits, OpenSSH's largest, takes less than half of it.
constexpr std::size_t line_max = 8'192;
// OpenSSH refuses to log in with less.
constexpr std::size_t rsa_bits_min = 1'024;

enum class form : std::uint8_t { ed25519, rsa, ecdsa, sk_ed25519, sk_ecdsa };

struct key_type {
  std::string_view name;
  form shape;
  /// Of elliptic curves: its name, and the bytes of an uncompressed point.
  std::string_view curve = {};
  std::size_t point_bytes = 0;
};

constexpr auto key_types = std::to_array<key_type>({
  {"ssh-ed25519", form::ed25519},
  {"ssh-rsa", form::rsa},
  {"ecdsa-sha2-nistp256", form::ecdsa, "nistp256", 65},
  {"ecdsa-sha2-nistp384", form::ecdsa, "nistp384", 97},
  {"ecdsa-sha2-nistp521", form::ecdsa, "nistp521", 133},
  {"sk-ssh-ed25519@openssh.com", form::sk_ed25519},
  {"sk-ecdsa-sha2-nistp256@openssh.com", form::sk_ecdsa, "nistp256", 65},
});

constexpr std::size_t ed25519_bytes = 32;

error wrong(std::string_view reason) {
  return {errc::invalid_request, "an SSH key " + std::string{reason}};
}

/// Takes length-prefixed strings (RFC 4251) off the front of a blob.
class blob_reader {
public:
  explicit blob_reader(std::string_view bytes) : rest_(bytes) {}

  std::optional<std::string_view> string() {
    if (rest_.size() < 4)
      return std::nullopt;
    std::uint32_t length = 0;
    for (const char c : rest_.substr(0, 4))
      length = length << 8 | static_cast<std::uint8_t>(c);
    rest_.remove_prefix(4);
    if (rest_.size() < length)
      return std::nullopt;
    const auto value = rest_.substr(0, length);
    rest_.remove_prefix(length);
    return value;
  }

  bool at_end() const { return rest_.empty(); }

private:
  std::string_view rest_;
};

/// The bits of a positive multiple-precision integer; nullopt when it is none.
std::optional<std::size_t> bits_of(std::string_view number) {
  if (number.empty() || static_cast<std::uint8_t>(number.front()) > 0x7f)
    return std::nullopt;
  if (number.front() == '\0')
    number.remove_prefix(1);
  if (number.empty() || number.front() == '\0')
    return std::nullopt;
  auto bits = number.size() * 8;
  for (auto first = static_cast<std::uint8_t>(number.front()); (first & 0x80) == 0;
       first = static_cast<std::uint8_t>(first << 1))
    --bits;
  return bits;
}

bool is_point(const std::optional<std::string_view>& point, const key_type& type) {
  constexpr char uncompressed = 4;
  return point && point->size() == type.point_bytes && point->front() == uncompressed;
}

result<> check_blob(std::string_view bytes, const key_type& type) {
  blob_reader in{bytes};
  const auto inner = in.string();
  if (!inner)
    return wrong("is cut short");
  if (*inner != type.name)
    return wrong("says " + std::string{type.name} + " but holds a key of another type");
  bool complete = false;
  switch (type.shape) {
  case form::ed25519:
  case form::sk_ed25519: {
    const auto key = in.string();
    complete = key && key->size() == ed25519_bytes;
    break;
  }
  case form::ecdsa:
  case form::sk_ecdsa: {
    const auto curve = in.string();
    complete = curve && *curve == type.curve && is_point(in.string(), type);
    break;
  }
  case form::rsa: {
    const auto exponent = in.string();
    const auto modulus = in.string();
    const auto bits = modulus ? bits_of(*modulus) : std::nullopt;
    complete = bits && bits_of(*exponent);
    if (complete && *bits < rsa_bits_min)
      return wrong("of type ssh-rsa has at least 1024 bits");
    break;
  }
  }
  if (complete && (type.shape == form::sk_ed25519 || type.shape == form::sk_ecdsa)) {
    const auto application = in.string();
    complete = application && !application->empty();
  }
  if (!complete || !in.at_end())
    return wrong("is cut short or damaged");
  return {};
}

std::string known_types() {
  std::string names;
  for (const auto& type : key_types)
    names += (names.empty() ? "" : ", ") + std::string{type.name};
  return names;
}

/// The text before the next run of spaces, which is dropped too.
std::string_view take_word(std::string_view& rest) {
  const auto word = rest.substr(0, rest.find_first_of(" \t"));
  rest.remove_prefix(word.size());
  rest.remove_prefix(std::min(rest.size(), rest.find_first_not_of(" \t")));
  return word;
}

} // namespace

result<ssh_key> parse_ssh_key(std::string_view line) {
  constexpr std::string_view spaces = " \t\r\n";
  const auto first = line.find_first_not_of(spaces);
  if (first == std::string_view::npos)
    return wrong("is not empty");
  auto rest = line.substr(first, line.find_last_not_of(spaces) - first + 1);
  if (rest.size() > line_max)
    return wrong("has at most 8192 characters");
  if (rest.find_first_of("\r\n") != std::string_view::npos)
    return wrong("is one line");
  if (std::any_of(rest.begin(), rest.end(),
                  [](char c) { return (c >= 0 && c < ' ' && c != '\t') || c == 0x7f; }))
    return wrong("has no control characters");
  if (rest.starts_with("-----BEGIN") || rest.starts_with("----"))
    return wrong("is the one line of a .pub file, not a block in PEM form");

  const auto name = take_word(rest);
  const auto* const type = std::find_if(key_types.begin(), key_types.end(),
                                        [name](const key_type& known) { return known.name == name; });
  if (type == key_types.end())
    return wrong("begins with its type, one of " + known_types());
  const auto blob = take_word(rest);
  const auto bytes = base64_decode(blob);
  if (blob.empty() || !bytes)
    return wrong("has base64 after its type");
  if (const auto checked = check_blob(*bytes, *type); !checked)
    return checked.error();
  return ssh_key{std::string{name}, std::string{blob}, std::string{rest}};
}

std::string to_string(const ssh_key& key) {
  return key.type + ' ' + key.blob + (key.comment.empty() ? "" : ' ' + key.comment);
}

} // namespace skyengine
