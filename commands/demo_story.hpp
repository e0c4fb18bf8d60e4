#pragma once

#include "commands/child_process.hpp"
#include "commands/engine.hpp"
#include "domain/rating.hpp"

#include <boost/asio/awaitable.hpp>

#include <cstdint>
#include <memory>
#include <stdexcept>
#include <string>
#include <vector>

namespace skyengine::commands {

/// What a step of the story found wrong.
struct story_broken : std::runtime_error {
  using std::runtime_error::runtime_error;
};

/// What the story goes on with after the engine was started again.
struct story_memory {
  /// The first server that was made.
  std::int64_t server = 0;
  /// What it was charged before.
  std::vector<rated_hour> charged;
};

/// The story that the demo tells, over HTTP, in two acts: the engine is started again between them. What it
/// finds wrong is thrown as `story_broken`.
class demo_story {
public:
  /// Everything referred to outlives it.
  demo_story(
    engine& node, child_process& panel, std::string panel_origin, std::string key, story_memory& memory);
  ~demo_story();
  demo_story(const demo_story&) = delete;
  demo_story& operator=(const demo_story&) = delete;

  /// Servers are made, whatever VirtFusion does, and the first hours pass.
  boost::asio::awaitable<void> tell_first_act();
  /// Hours go on as if nothing had been.
  boost::asio::awaitable<void> tell_second_act();

  /// What waits for something goes on to its end without telling, and the act with it.
  void interrupt();
  void close();

private:
  class teller;
  std::unique_ptr<teller> teller_;
};

} // namespace skyengine::commands
