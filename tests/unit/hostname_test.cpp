#include "domain/hostname.hpp"

#include <gtest/gtest.h>

#include <string>

namespace skyengine {
namespace {

const std::string longest_label(63, 'a');
const std::string longest_name =
  longest_label + '.' + longest_label + '.' + longest_label + '.' + std::string(61, 'a');

TEST(Hostname, FollowsRfc1123) {
  for (const std::string& name :
       {std::string{"vps-12"}, std::string{"a"}, std::string{"web1.example.com"}, std::string{"EXAMPLE.Com"},
        std::string{"3com.com"}, std::string{"1.2.3.4a"}, std::string{"xn--bcher-kva.example"},
        std::string{"a--b"}, longest_label, longest_name})
    EXPECT_TRUE(check_hostname(name)) << name;
  EXPECT_EQ(longest_name.size(), 253U);
}

struct wrong_name {
  const char* name;
  std::string text;
  const char* reason;
};

class HostnameRefuses : public testing::TestWithParam<wrong_name> {};

TEST_P(HostnameRefuses, WithTheReason) {
  const auto checked = check_hostname(GetParam().text);
  ASSERT_FALSE(checked);
  EXPECT_EQ(checked.error().code, errc::invalid_request);
  EXPECT_NE(checked.error().detail.find(GetParam().reason), std::string::npos) << checked.error().detail;
}

INSTANTIATE_TEST_SUITE_P(Names,
                         HostnameRefuses,
                         testing::Values(wrong_name{"nothing", "", "not empty"},
                                         wrong_name{"dots_alone", "-a..b", "hyphen"},
                                         wrong_name{"empty_part", "a..b", "between"},
                                         wrong_name{"leading_dot", ".a", "before"},
                                         wrong_name{"trailing_dot", "a.example.", "after"},
                                         wrong_name{"leading_hyphen", "-a.example", "hyphen"},
                                         wrong_name{"trailing_hyphen", "a-.example", "hyphen"},
                                         wrong_name{"underscore", "a_b", "letters"},
                                         wrong_name{"space", "a b", "letters"},
                                         wrong_name{"not_ascii",
                                                    "b\xc3\xbc"
                                                    "cher.example",
                                                    "letters"},
                                         wrong_name{"newline", "a\n", "letters"},
                                         wrong_name{"nul", std::string("a\0b", 3), "letters"},
                                         wrong_name{"address", "192.0.2.1", "number"},
                                         wrong_name{"number", "12", "number"},
                                         wrong_name{"long_label", longest_label + 'a', "63"},
                                         wrong_name{"long_name", longest_name + 'a', "253"}),
                         [](const auto& test) { return std::string{test.param.name}; });

} // namespace
} // namespace skyengine
