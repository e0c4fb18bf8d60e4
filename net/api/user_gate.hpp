#pragma once

#include "domain/ids.hpp"

#include <cstddef>
#include <optional>
#include <unordered_map>
#include <utility>

namespace skyengine::net::api {

/// Counts what is under way, of each user and of all together, and refuses beyond a bound: what one user
/// asks for leaves room for the others.
class user_gate {
public:
  user_gate(std::size_t most, std::size_t most_of_one) : most_(most), most_of_one_(most_of_one) {}

  /// A place, given back with its end.
  class place {
  public:
    place(user_gate& owner, user_id user) : owner_(&owner), user_(user) {
      ++owner_->taken_;
      ++owner_->by_user_[user];
    }
    place(place&& other) noexcept : owner_(std::exchange(other.owner_, nullptr)), user_(other.user_) {}
    place& operator=(place&&) = delete;
    ~place() {
      if (owner_ == nullptr)
        return;
      --owner_->taken_;
      if (const auto own = owner_->by_user_.find(user_); --own->second == 0)
        owner_->by_user_.erase(own);
    }

  private:
    user_gate* owner_;
    user_id user_;
  };

  std::optional<place> enter(user_id user) {
    const auto own = by_user_.find(user);
    if (taken_ >= most_ || (own != by_user_.end() && own->second >= most_of_one_))
      return std::nullopt;
    return std::optional<place>{std::in_place, *this, user};
  }

private:
  std::size_t most_;
  std::size_t most_of_one_;
  std::size_t taken_ = 0;
  std::unordered_map<user_id, std::size_t> by_user_;
};

} // namespace skyengine::net::api
