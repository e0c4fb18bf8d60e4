#pragma once

#include <cstdio>
#include <cstdlib>
#include <exception>

namespace skyengine::test {

/// Does what a destructor has to; should that throw, its words are told before all ends.
template <class Work>
void at_end(Work&& work) noexcept {
  try {
    work();
  } catch (const std::exception& failure) {
    std::fprintf(stderr, "a test's end failed: %s\n", failure.what());
    std::abort();
  }
}

} // namespace skyengine::test
