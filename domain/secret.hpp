#pragma once

#include <string>
#include <utility>

namespace skyengine {

/// A text that must not be seen by accident: it cannot be printed, compared, logged or sent, only revealed.
class secret {
public:
  secret() = default;
  explicit secret(std::string text) : text_(std::move(text)) {}

  const std::string& reveal() const noexcept { return text_; }
  bool empty() const noexcept { return text_.empty(); }

private:
  std::string text_;
};

} // namespace skyengine
