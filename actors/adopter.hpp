#pragma once

#include "actors/virtfusion_caller.hpp"
#include "db/adoption_store.hpp"
#include "db/catalogue_store.hpp"
#include "domain/adoption.hpp"
#include "domain/clock.hpp"
#include "domain/requester.hpp"
#include "net/virtfusion/records.hpp"

#include <boost/asio/awaitable.hpp>

#include <optional>

namespace skyengine::actors {

/// Takes over servers that VirtFusion has and we do not. It only reads in VirtFusion. What it is made of must
/// outlive it.
class adopter {
public:
  adopter(virtfusion_caller& virtfusion,
          db::catalogue_store& catalogue,
          db::adoption_store& store,
          const clock& business,
          call_class priority)
      : virtfusion_(virtfusion), catalogue_(catalogue), store_(store), business_(business),
        priority_(priority) {}

  /// Reads plans and regions here, and packages there. Before anything else.
  boost::asio::awaitable<result<>> load();
  const adoption_catalogue& catalogue() const noexcept { return known_; }

  struct wish {
    virtfusion_server_id id;
    /// The plan that it is to have, whatever it looks like.
    std::optional<plan_id> plan = {};
    /// Only say what would be done.
    bool is_dry_run = false;
  };
  struct adopted {
    adoption_place place;
    /// Nothing of a dry run.
    std::optional<server_id> server;
  };
  /// errc::conflict: it stays what it is, and why, or, with detail `idempotency_keys_pkey`, the key is taken.
  /// Any other error: it could not be told.
  boost::asio::awaitable<result<adopted>>
  adopt(wish what, requester by, std::optional<idempotency_claim> claim = {});

private:
  struct named_owner {
    std::string name;
    std::string email;
  };
  boost::asio::awaitable<result<named_owner>> owner_of(user_id user);
  call_options how() const;

  virtfusion_caller& virtfusion_;
  db::catalogue_store& catalogue_;
  db::adoption_store& store_;
  const clock& business_;
  call_class priority_;
  adoption_catalogue known_;
};

} // namespace skyengine::actors
