#pragma once

#include "domain/error.hpp"

#include <string>
#include <string_view>

namespace skyengine {

/// An OpenSSH public key. Two lines with the same type and blob are the same key, whatever their comments.
struct ssh_key {
  /// `ssh-ed25519`, …
  std::string type;
  /// base64, as it stood in the line.
  std::string blob;
  /// May be empty.
  std::string comment;

  friend bool operator==(const ssh_key&, const ssh_key&) = default;

  template <class Inspector>
  friend typename Inspector::result_type inspect(Inspector& f, ssh_key& x) {
    return f(x.type, x.blob, x.comment);
  }
};

/// Reads a line of a `.pub` file: type, base64 blob, comment. Spaces around it are dropped. The blob must
/// have the form of a key of that type, to its last byte. errc::invalid_request with the reason otherwise;
/// options as in authorized_keys, certificates and DSA keys are refused.
result<ssh_key> parse_ssh_key(std::string_view line);

/// The line again, its parts one space apart.
std::string to_string(const ssh_key& key);

} // namespace skyengine
