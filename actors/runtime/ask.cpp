#include "actors/runtime/ask.hpp"

#include "domain/log.hpp"

#include <boost/asio/post.hpp>
#include <caf/actor_config.hpp>
#include <caf/make_actor.hpp>
#include <caf/monitorable_actor.hpp>
#include <caf/sec.hpp>

#include <unordered_map>
#include <vector>

namespace skyengine::actors::runtime {

namespace detail {

/// The sender of all requests. What it is sent, it hears at once, in the sender's turn; it only notes who is
/// to be resumed, so that no coroutine ever runs inside of an actor.
class answer_port final : public caf::monitorable_actor {
public:
  answer_port(caf::actor_config& config, asio::io_context& loop, steady_timers& timers)
      : caf::monitorable_actor(config), loop_(loop), timers_(timers) {}

  const char* name() const override { return "asker"; }

  void enqueue(caf::mailbox_element_ptr what, caf::execution_unit*) override {
    if (!what->mid.is_response())
      return;
    if (loop_.get_executor().running_in_this_thread()) {
      take(*what);
      return;
    }
    asio::post(loop_, [self = strong_self(), foreign = std::move(what)] { port_of(self).take(*foreign); });
  }

  caf::message_id expect(std::unique_ptr<question> asked, steady_duration patience) {
    const auto number = next_number_++;
    asked->alarm = timers_.schedule(timers_.now() + patience, [this, number] { time_out(number); });
    questions_.emplace(number, std::move(asked));
    return caf::message_id{number}.with_category(caf::message_id::normal_message_category);
  }

  void close() {
    for (const auto& [number, asked] : questions_)
      timers_.cancel(asked->alarm);
    // What goes may ask about others as it goes.
    const auto gone = std::exchange(questions_, {});
    const auto answered = std::exchange(answered_, {});
  }

  static answer_port& port_of(const caf::strong_actor_ptr& self) noexcept {
    return *static_cast<answer_port*>(caf::actor_cast<caf::abstract_actor*>(self));
  }

private:
  caf::strong_actor_ptr strong_self() { return caf::actor_cast<caf::strong_actor_ptr>(this); }

  void take(caf::mailbox_element& what) {
    // An answer that comes too late finds no question.
    auto found = questions_.extract(what.mid.request_id().integer_value() & caf::message_id::request_id_mask);
    if (found.empty())
      return;
    timers_.cancel(found.mapped()->alarm);
    found.mapped()->take(what.content());
    resume_later(std::move(found.mapped()));
  }

  void time_out(std::uint64_t number) {
    auto found = questions_.extract(number);
    found.mapped()->fail(from_caf(caf::make_error(caf::sec::request_timeout)));
    resume_later(std::move(found.mapped()));
  }

  void resume_later(std::unique_ptr<question> answered) {
    answered_.push_back(std::move(answered));
    if (answered_.size() == 1)
      asio::post(loop_, [self = strong_self()] { port_of(self).resume_answered(); });
  }

  void resume_answered() {
    const auto now = std::exchange(answered_, {});
    for (const auto& one : now)
      one->complete();
  }

  asio::io_context& loop_;
  steady_timers& timers_;
  std::uint64_t next_number_ = 1;
  std::unordered_map<std::uint64_t, std::unique_ptr<question>> questions_;
  /// Not empty: a handler is posted that resumes them.
  std::vector<std::unique_ptr<question>> answered_;
};

error failure_in(const caf::type_erased_tuple& answer) {
  if (answer.match_elements<caf::error>())
    return from_caf(answer.get_as<caf::error>(0));
  return from_caf(caf::make_error(caf::sec::unexpected_response));
}

} // namespace detail

using detail::answer_port;

asker::asker(caf::actor_system& system, asio::io_context& loop, steady_timers& timers) {
  caf::actor_config config;
  self_ = caf::make_actor<answer_port, caf::strong_actor_ptr>(system.next_actor_id(), system.node(), &system,
                                                              config, loop, timers);
}

asker::~asker() {
  port().close();
}

caf::message_id asker::expect(std::unique_ptr<detail::question> asked, steady_duration patience) {
  return port().expect(std::move(asked), patience);
}

void asker::refuse(caf::message_id request) {
  port().enqueue(caf::make_mailbox_element(nullptr, request.response_id(), {},
                                           caf::make_error(caf::sec::invalid_argument)),
                 nullptr);
}

answer_port& asker::port() noexcept {
  return answer_port::port_of(self_);
}

} // namespace skyengine::actors::runtime
