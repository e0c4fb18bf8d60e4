#include "domain/base64.hpp"

#include <gtest/gtest.h>

#include <random>
#include <string>

namespace skyengine {
namespace {

TEST(Base64, EncodesTheVectorsOfRfc4648) {
  EXPECT_EQ(base64_encode(""), "");
  EXPECT_EQ(base64_encode("f"), "Zg==");
  EXPECT_EQ(base64_encode("fo"), "Zm8=");
  EXPECT_EQ(base64_encode("foo"), "Zm9v");
  EXPECT_EQ(base64_encode("foob"), "Zm9vYg==");
  EXPECT_EQ(base64_encode("fooba"), "Zm9vYmE=");
  EXPECT_EQ(base64_encode("foobar"), "Zm9vYmFy");
}

TEST(Base64, DecodesOnlyTheOneEncoding) {
  EXPECT_EQ(base64_decode("Zm9vYg=="), "foob");
  EXPECT_EQ(base64_decode(""), "");
  for (const auto* text : {"Zg", "Zg=", "Zg===", "Zh==", "Zm9=", "=", "====", "A===", "Zm9vYg==Zg==", "Zm9v ",
                           "Zm9v\n", "Zm-_", "Z\xc3\xa4==", "AA=A"})
    EXPECT_FALSE(base64_decode(text)) << text;
}

TEST(Base64Url, HasItsOwnAlphabetAndNoPadding) {
  EXPECT_EQ(base64_encode("\xfb\xff"), "+/8=");
  EXPECT_EQ(base64url_encode("\xfb\xff"), "-_8");
  EXPECT_EQ(base64url_decode("-_8"), "\xfb\xff");
  for (const auto* text : {"+/8", "-_8=", "-_9", "A"})
    EXPECT_FALSE(base64url_decode(text)) << text;
}

TEST(Base64Property, WhatIsEncodedIsDecodedBack) {
  std::mt19937_64 random{1};
  for (std::size_t length = 0; length < 300; ++length) {
    std::string bytes(length, '\0');
    for (auto& byte : bytes)
      byte = static_cast<char>(random());
    ASSERT_EQ(base64_decode(base64_encode(bytes)), bytes);
    ASSERT_EQ(base64url_decode(base64url_encode(bytes)), bytes);
  }
}

} // namespace
} // namespace skyengine
