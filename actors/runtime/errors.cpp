#include "actors/runtime/errors.hpp"

#include "domain/log.hpp"

#include <caf/atom.hpp>
#include <caf/exit_reason.hpp>
#include <caf/message.hpp>
#include <caf/sec.hpp>

#include <cstdint>

namespace skyengine::actors::runtime {

namespace {
constexpr auto category = caf::atom("skyengine");
constexpr std::int64_t no_retry = -1;
} // namespace

caf::error to_caf(const error& e) {
  const std::int64_t retry = e.retry_after ? e.retry_after->count() : no_retry;
  return {static_cast<std::uint8_t>(e.code), category, caf::make_message(e.detail, e.fields, retry)};
}

error from_caf(const caf::error& e) {
  if (e.category() == category) {
    error ours{static_cast<errc>(e.code()), {}};
    if (e.context().match_elements<std::string, std::vector<field_error>, std::int64_t>()) {
      ours.detail = e.context().get_as<std::string>(0);
      ours.fields = e.context().get_as<std::vector<field_error>>(1);
      if (const auto retry = e.context().get_as<std::int64_t>(2); retry != no_retry)
        ours.retry_after = std::chrono::seconds{retry};
    }
    return ours;
  }
  if (e == caf::sec::request_timeout)
    return {errc::deadline_exceeded, std::string{no_answer_in_time}};
  if (e == caf::sec::request_receiver_down || e.category() == caf::atom("exit"))
    return {errc::overloaded, "this part of the engine is being restarted", {}, std::chrono::seconds{1}};
  log::error("an actor failed while it answered", {{"error", caf::to_string(e)}});
  return {errc::internal, "unexpected failure"};
}

} // namespace skyengine::actors::runtime
