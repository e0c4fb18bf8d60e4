#pragma once

#include <cstdint>
#include <cstdlib>
#include <random>

namespace skyengine::test {

/// SKYENGINE_TEST_SEED, else a random one.
inline std::uint64_t seed() {
  // NOLINTNEXTLINE(concurrency-mt-unsafe): nothing in a test changes the environment.
  const char* given = std::getenv("SKYENGINE_TEST_SEED");
  return given != nullptr ? std::strtoull(given, nullptr, 10) : std::random_device{}();
}

} // namespace skyengine::test
