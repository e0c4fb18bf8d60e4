#pragma once

#include "db/database.hpp"
#include "domain/adoption.hpp"
#include "domain/clock.hpp"
#include "domain/requester.hpp"

#include <boost/asio/awaitable.hpp>

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

namespace skyengine::db {

/// A server that VirtFusion has and we are to have.
struct adoption {
  virtfusion_server_id id;
  adoption_place place;
  /// Whose it is, as VirtFusion tells: its user is made here where there is none yet.
  virtfusion_user_id owner;
  std::string owner_name;
  std::string owner_email;
  std::optional<std::string> hostname;
  std::optional<os_template_id> os_template;
  std::vector<std::string> ipv4;
  std::vector<std::string> ipv6;
  bool is_suspended = false;
  server_resources resources;
};

/// Makes servers that VirtFusion has already ours.
class adoption_store {
public:
  explicit adoption_store(database& db) : db_(db) {}

  struct row_of_ours {
    server_id id;
    /// It has failed or was deleted.
    bool is_over = false;
  };
  /// Which rows have these ids, or had.
  asio::awaitable<result<std::map<virtfusion_server_id, row_of_ours>>>
  known(std::vector<virtfusion_server_id> ids);
  asio::awaitable<result<bool>> has_user(user_id id);
  /// errc::conflict where an operator has decided to delete it in VirtFusion, and it has not gone yet.
  asio::awaitable<result<>> check(virtfusion_server_id id);

  /// One transaction: the user where there is none, the server (`active` or `suspended`, from `now` on), what
  /// stands for its create, its first event, the end of its drift, and the line of the audit log, to which
  /// the key is bound. errc::conflict: somebody has taken the server or the user's VirtFusion id meanwhile,
  /// it is to be deleted, or, with detail `idempotency_keys_pkey`, the key.
  asio::awaitable<result<server_id>>
  insert(adoption what, requester by, std::optional<idempotency_claim> claim, instant now);

private:
  database& db_;
};

} // namespace skyengine::db
