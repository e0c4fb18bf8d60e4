#include "net/api/problem.hpp"

#include <boost/json.hpp>
#include <gtest/gtest.h>

namespace skyengine::net::api {
namespace {

using namespace std::chrono_literals;

TEST(Problem, EveryCodeHasItsOwnKind) {
  // The last errc: a new one behind it must be named here, and so in the table.
  constexpr auto last = static_cast<int>(errc::deadline_exceeded);
  for (int code = 1; code <= last; ++code)
    EXPECT_EQ(static_cast<int>(problem_of(static_cast<errc>(code)).code), code);
  EXPECT_EQ(problem_kinds().size(), static_cast<std::size_t>(last));
}

TEST(Problem, StatusesAreThoseOfTheContract) {
  const auto status = [](errc code) { return static_cast<int>(problem_of(code).status); };
  EXPECT_EQ(status(errc::malformed_request), 400);
  EXPECT_EQ(status(errc::invalid_request), 422);
  EXPECT_EQ(status(errc::idempotency_mismatch), 409);
  EXPECT_EQ(status(errc::capacity_exhausted), 409);
  EXPECT_EQ(status(errc::virtfusion_rejected), 422);
  EXPECT_EQ(status(errc::header_too_large), 431);
  EXPECT_EQ(status(errc::deadline_exceeded), 504);
  for (const auto code :
       {errc::overloaded, errc::virtfusion_unavailable, errc::virtfusion_busy, errc::database_unavailable}) {
    EXPECT_EQ(status(code), 503);
    EXPECT_TRUE(problem_of(code).retry_after.has_value());
  }
}

TEST(Problem, ADocumentSaysAllThatIsKnown) {
  const auto answer = make_problem({errc::invalid_request, "two \"faults\"\n", {{"a", "is b"}}}, "id-1",
                                   {server_id{7}, action_id{8}});
  EXPECT_EQ(answer.headers[http::field::content_type], "application/problem+json");
  const auto body = boost::json::parse(answer.body).as_object();
  EXPECT_EQ(body.at("status").as_int64(), 422);
  EXPECT_EQ(body.at("detail").as_string(), "two \"faults\"\n");
  EXPECT_EQ(body.at("code").as_string(), "invalid_request");
  EXPECT_EQ(body.at("requestId").as_string(), "id-1");
  EXPECT_EQ(body.at("error"), body.at("title"));
  EXPECT_EQ(body.at("errors").at(0).at("reason").as_string(), "is b");
  EXPECT_EQ(body.at("serverId").as_int64(), 7);
  EXPECT_EQ(body.at("actionId").as_int64(), 8);
}

TEST(Problem, RetryAfterIsTheErrorsOwnElseThatOfItsKind) {
  EXPECT_EQ(make_problem({errc::overloaded, "", {}, 7s}, "").headers[http::field::retry_after], "7");
  EXPECT_EQ(make_problem({errc::overloaded, ""}, "").headers[http::field::retry_after], "1");
  EXPECT_EQ(make_problem({errc::overloaded, "", {}, 0s}, "").headers[http::field::retry_after], "1");
  EXPECT_EQ(make_problem({errc::not_found, "", {}, 7s}, "").headers.count(http::field::retry_after), 0u);
}

} // namespace
} // namespace skyengine::net::api
