#include "domain/error.hpp"

#include <gtest/gtest.h>

#include <stdexcept>

namespace skyengine {
namespace {

TEST(Result, CarriesAValueOrAnError) {
  const result<int> good = 3;
  const result<int> bad = error{errc::not_found, "no such server"};
  EXPECT_EQ(*good, 3);
  ASSERT_TRUE(bad.has_error());
  EXPECT_EQ(bad.error().code, errc::not_found);
}

TEST(Result, ReadingAFailedOneIsABug) {
  const result<int> bad = error{errc::not_found, "no such server"};
  EXPECT_THROW(static_cast<void>(bad.value()), std::logic_error);
}

TEST(Errc, EveryCodeHasItsText) {
  for (auto code = static_cast<int>(errc::malformed_request);
       code < static_cast<int>(errc::deadline_exceeded); ++code)
    if (static_cast<errc>(code) != errc::internal)
      EXPECT_NE(to_string(static_cast<errc>(code)), "internal") << code;
}

} // namespace
} // namespace skyengine
