#include "domain/names.hpp"
#include "domain/utf8.hpp"

#include <gtest/gtest.h>

#include <string>

namespace skyengine {
namespace {

TEST(ShortName, IsLowerCaseLettersDigitsAndHyphens) {
  for (const std::string& name :
       {std::string{"vps-1"}, std::string{"1"}, std::string{"-"}, std::string(64, 'a')})
    EXPECT_TRUE(check_short_name(name)) << name;
  for (const std::string& name :
       {std::string{}, std::string(65, 'a'), std::string{"VPS"}, std::string{"a_b"}, std::string{"a b"},
        std::string{"\xc3\xa4"}, std::string("a\0", 2), std::string{"../.."}})
    EXPECT_FALSE(check_short_name(name)) << name;
  EXPECT_EQ(check_short_name("A").error().code, errc::invalid_request);
}

TEST(LabelName, LeavesTheColonToTheFilter) {
  for (const std::string& name :
       {std::string{"team"}, std::string{"example.com/Role_1-a"}, std::string(63, 'a')})
    EXPECT_TRUE(check_label_name(name)) << name;
  for (const std::string& name :
       {std::string{}, std::string(64, 'a'), std::string{"a:b"}, std::string{"a b"}})
    EXPECT_FALSE(check_label_name(name)) << name;
}

TEST(LabelValue, IsShortTextWithoutControls) {
  for (const std::string& value : {std::string{},
                                   std::string{"b\xc3\xbc"
                                               "cher: 1"},
                                   std::string(255, 'a')})
    EXPECT_TRUE(check_label_value(value)) << value;
  for (const std::string& value :
       {std::string(256, 'a'), std::string{"a\nb"}, std::string{"\x1b[31m"}, std::string{"\x7f"},
        std::string{"\xc2\x9b"}, std::string("\0", 1), std::string{"\xff"}, std::string{"\xc3"}})
    EXPECT_FALSE(check_label_value(value)) << value;
}

TEST(Text, IsNotEmpty) {
  EXPECT_TRUE(check_text("INV-1/2026"));
  EXPECT_FALSE(check_text(""));
  EXPECT_FALSE(check_text("\t"));
}

TEST(Utf8, TakesOneWellFormedSequence) {
  EXPECT_EQ(utf8_sequence(""), 0U);
  EXPECT_EQ(utf8_sequence("ab"), 1U);
  EXPECT_EQ(utf8_sequence(std::string_view{"\0", 1}), 1U);
  EXPECT_EQ(utf8_sequence("\xc3\xbc!"), 2U);
  EXPECT_EQ(utf8_sequence("\xe2\x82\xac"), 3U);
  EXPECT_EQ(utf8_sequence("\xf0\x9f\x9a\x80"), 4U);
  EXPECT_EQ(utf8_sequence("\xf4\x8f\xbf\xbf"), 4U);
}

TEST(Utf8, RefusesWhatIsNotWellFormed) {
  for (const auto* text : {"\x80", "\xc0\x80", "\xc1\xbf", "\xc3", "\xc3(", "\xe0\x9f\xbf", "\xed\xa0\x80",
                           "\xe2\x82", "\xf0\x8f\xbf\xbf", "\xf4\x90\x80\x80", "\xf5\x80\x80\x80", "\xff"})
    EXPECT_EQ(utf8_sequence(text), 0U) << testing::PrintToString(text);
}

} // namespace
} // namespace skyengine
