#include "domain/base64.hpp"
#include "domain/ssh_key.hpp"

#include <gtest/gtest.h>

#include <cstdint>
#include <initializer_list>
#include <string>
#include <string_view>

namespace skyengine {
namespace {

// Made by ssh-keygen; their private halves are gone.
constexpr const char* ed25519_line =
  "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIMK8ytAopGN0M773nE4kz4DUjYU12JVpW3Bha7gQqhP4";
constexpr const char* made_by_openssh[] = {
  ed25519_line,
  "ssh-rsa "
  "AAAAB3NzaC1yc2EAAAADAQABAAABAQCxffLMoTBIEFLb21qaxeHkfbKFCgloodlRvAXbhulKnfLq8pER/"
  "nOv75pdN5x8HDKgMEmYdi4m4gHrayLJpRAj/i/"
  "dICcjvbPxD6vE8iBecNNuqNkLBU9mY87vGQdYVaWGZMzb7elRvQuZjzH3mf8yKb4+Fxm2FxCJ7XbtS1qoJCUSCZ8CdF/"
  "QOt9rmOtK5UqP8sERUB2CPJkCdKhul43Lyn4OCZ9lK9gyq+me/j1dnXQ3izKHsttHgszCEV+c1h52GjuyyaJ+w1kUG6rrNR5L/"
  "kMeMOpiFGrbQzbRA+TLPZLJe2nzPI0duH4t1XOapoba8TPaAa3W3iKxi/GaMRrX",
  "ecdsa-sha2-nistp256 "
  "AAAAE2VjZHNhLXNoYTItbmlzdHAyNTYAAAAIbmlzdHAyNTYAAABBBKygbWtSGSCTsKIoci8jfaucsJivrFUsg7Gci9AGi+GpU7bfvQTBM/"
  "k7iJtb9YGo1Y12v/QOF6GIOFotDhoxZQo=",
  "ecdsa-sha2-nistp384 "
  "AAAAE2VjZHNhLXNoYTItbmlzdHAzODQAAAAIbmlzdHAzODQAAABhBLyNYxHQ+"
  "1NXQa7LMKKvNZuFqbYQ2HpmRegTAn7UAk5VRzFQyNAq8w6VkG9V1R9kLC4rxpu7fudRc0lBAmpUA5q7BxhLjh2rWb82KC5elR/"
  "vuhb65B76xphEf3Q9jGY7fQ==",
  "ecdsa-sha2-nistp521 "
  "AAAAE2VjZHNhLXNoYTItbmlzdHA1MjEAAAAIbmlzdHA1MjEAAACFBAEIYYS9RuhkXDv+nU3YHGBsuYcvHLGvLOYLcSc/"
  "uxlvnIeKdrc8PVk1ecHT/Tc/6rj7wadv6/ZDKdRLB7qTnzPy5wGUaaFnUGqRFCnHMuJjOsUePp5vGq++Z5cryieSSlpIna3Q8/"
  "sx635UtaHFLF847AQsPU4mO7AYXx+Nb7srCVwbyg==",
};

/// A blob of length-prefixed strings, in base64.
std::string blob(std::initializer_list<std::string> strings) {
  std::string bytes;
  for (const auto& part : strings) {
    const auto length = static_cast<std::uint32_t>(part.size());
    for (const int shift : {24, 16, 8, 0})
      bytes += static_cast<char>(length >> shift & 0xff);
    bytes += part;
  }
  return base64_encode(bytes);
}

const std::string point_256 = '\4' + std::string(64, 'p');
const std::string exponent{"\1\0\1", 3};

TEST(SshKey, ReadsWhatOpensshMakes) {
  for (const std::string line : made_by_openssh) {
    const auto key = parse_ssh_key(line + " someone@example.com");
    ASSERT_TRUE(key) << line << ": " << key.error().detail;
    EXPECT_EQ(key->type + ' ' + key->blob, line);
    EXPECT_EQ(key->comment, "someone@example.com");
  }
}

TEST(SshKey, ReadsHardwareKeys) {
  EXPECT_TRUE(parse_ssh_key("sk-ssh-ed25519@openssh.com " +
                            blob({"sk-ssh-ed25519@openssh.com", std::string(32, 'k'), "ssh:"})));
  EXPECT_TRUE(parse_ssh_key("sk-ecdsa-sha2-nistp256@openssh.com " +
                            blob({"sk-ecdsa-sha2-nistp256@openssh.com", "nistp256", point_256, "ssh:"})));
}

TEST(SshKey, DropsSpacesAroundItsParts) {
  const auto key = parse_ssh_key("  " + std::string{ed25519_line} +
                                 " \t b\xc3\xbc"
                                 "cher's  key \r\n");
  ASSERT_TRUE(key);
  EXPECT_EQ(key->comment, "b\xc3\xbc"
                          "cher's  key");
  EXPECT_EQ(to_string(*key), std::string{ed25519_line} + " b\xc3\xbc"
                                                         "cher's  key");
  EXPECT_EQ(to_string(*parse_ssh_key(ed25519_line)), ed25519_line);
}

TEST(SshKey, RsaHasAtLeast1024Bits) {
  const auto rsa = [](const std::string& modulus) {
    return parse_ssh_key("ssh-rsa " + blob({"ssh-rsa", exponent, modulus}));
  };
  EXPECT_TRUE(rsa(std::string(1, '\0') + '\x80' + std::string(127, 'n')));
  const auto short_one = rsa('\x7f' + std::string(127, 'n'));
  ASSERT_FALSE(short_one);
  EXPECT_NE(short_one.error().detail.find("1024 bits"), std::string::npos) << short_one.error().detail;
}

struct wrong_key {
  const char* name;
  std::string line;
  const char* reason;
};

class SshKeyRefuses : public testing::TestWithParam<wrong_key> {};

TEST_P(SshKeyRefuses, WithTheReason) {
  const auto key = parse_ssh_key(GetParam().line);
  ASSERT_FALSE(key);
  EXPECT_EQ(key.error().code, errc::invalid_request);
  EXPECT_NE(key.error().detail.find(GetParam().reason), std::string::npos) << key.error().detail;
}

const std::string modulus = std::string(1, '\0') + std::string(256, '\x81');

INSTANTIATE_TEST_SUITE_P(
  Lines,
  SshKeyRefuses,
  testing::Values(
    wrong_key{"nothing", "", "not empty"},
    wrong_key{"spaces", " \n", "not empty"},
    wrong_key{"no_key", "hello world", "begins with its type"},
    wrong_key{"type_alone", "ssh-ed25519", "base64"},
    wrong_key{"no_base64", "ssh-ed25519 AAAA!", "base64"},
    wrong_key{"dsa", "ssh-dss " + blob({"ssh-dss"}), "begins with its type"},
    wrong_key{"options_before", "no-pty " + std::string{ed25519_line}, "begins with its type"},
    wrong_key{"private_key", "-----BEGIN OPENSSH PRIVATE KEY-----", ".pub"},
    wrong_key{"two_lines", std::string{ed25519_line} + "\n" + ed25519_line, "one line"},
    wrong_key{"escape_in_comment", std::string{ed25519_line} + " \x1b[31m", "control"},
    wrong_key{"endless", std::string{ed25519_line} + ' ' + std::string(8'192, 'c'), "8192"},
    wrong_key{"empty_blob", "ssh-ed25519 AAAA", "cut short"},
    wrong_key{"length_beyond_the_end", "ssh-ed25519 /////w==", "cut short"},
    wrong_key{"other_type_inside", "ssh-ed25519 " + blob({"ssh-rsa", exponent, modulus}), "another type"},
    wrong_key{"ed25519_short", "ssh-ed25519 " + blob({"ssh-ed25519", std::string(31, 'k')}), "damaged"},
    wrong_key{"something_behind", "ssh-ed25519 " + blob({"ssh-ed25519", std::string(32, 'k'), ""}),
              "damaged"},
    wrong_key{"rsa_without_modulus", "ssh-rsa " + blob({"ssh-rsa", exponent}), "damaged"},
    wrong_key{"rsa_negative", "ssh-rsa " + blob({"ssh-rsa", exponent, std::string(256, '\x81')}), "damaged"},
    wrong_key{"rsa_padded", "ssh-rsa " + blob({"ssh-rsa", exponent, std::string(2, '\0') + modulus}),
              "damaged"},
    wrong_key{"rsa_without_exponent", "ssh-rsa " + blob({"ssh-rsa", "", modulus}), "damaged"},
    wrong_key{"other_curve", "ecdsa-sha2-nistp256 " + blob({"ecdsa-sha2-nistp256", "nistp384", point_256}),
              "damaged"},
    wrong_key{"compressed_point",
              "ecdsa-sha2-nistp256 " + blob({"ecdsa-sha2-nistp256", "nistp256", '\2' + std::string(64, 'p')}),
              "damaged"},
    wrong_key{"sk_without_application",
              "sk-ssh-ed25519@openssh.com " + blob({"sk-ssh-ed25519@openssh.com", std::string(32, 'k')}),
              "damaged"}),
  [](const auto& test) { return std::string{test.param.name}; });

} // namespace
} // namespace skyengine
