#pragma once

#include "net/virtfusion/transport.hpp"

#include <functional>
#include <string>
#include <utility>

namespace skyengine::net::virtfusion {

/// Lets what changes something through only while `may_send` holds, asked at the moment of sending: a node
/// that lost its lease while a call stood in line sends nothing any more. `inner` must outlive it.
class guarded_transport final : public transport {
public:
  guarded_transport(transport& inner, std::function<bool()> may_send)
      : inner_(inner), may_send_(std::move(may_send)) {}

  asio::awaitable<exchange_outcome> exchange(request what, std::chrono::milliseconds timeout) override {
    if (traits_of(what.op).method() != "GET" && !may_send_())
      co_return no_answer{no_answer::kind::held_back, "this node's lease has run out"};
    co_return co_await inner_.exchange(std::move(what), timeout);
  }

private:
  transport& inner_;
  std::function<bool()> may_send_;
};

} // namespace skyengine::net::virtfusion
