#pragma once

#include "tests/simulator/model.hpp"

#include <boost/json.hpp>

#include <cstdint>
#include <string>

/// The panel's answers in the vendor's shapes.
namespace skyengine::simulator {

/// `allocated`, `queued`, `pending`, `complete` or `failed`.
std::string_view state_of(const server& s, moment now) noexcept;

/// One page of a paged list, as it is asked for: `results` items a page.
struct page_request {
  std::int64_t page = 1;
  std::int64_t results = 20;
};

boost::json::object render_user(const user& u);
boost::json::object render_package(const package& p, moment started);
boost::json::object render_group(const hypervisor_group& g, moment started);
boost::json::object render_group_resources(const hypervisor& h);
boost::json::array render_templates(const model& m);
/// The whole record, 10 to 20 KB of it.
boost::json::object render_server(const model& m, const server& s, moment now);
/// What the hypervisor and the guest say of the machine now.
boost::json::object render_remote_state(const model& m, const server& s, moment now);
/// The few fields of the list.
boost::json::object render_server_summary(const model& m, const server& s, moment now);
boost::json::object render_server_of_user(const model& m, const server& s, moment now);
boost::json::object render_traffic(const model& m, const server& s, moment now);
boost::json::object render_queue_item(const queue_item& item, moment now);
boost::json::object render_ssh_key(const ssh_key& key);
/// The shorter answer to adding one.
boost::json::object render_new_ssh_key(const ssh_key& key);
/// One a day since the server has its plan, the last seven of them.
boost::json::array render_backups(const server& s, moment now);
boost::json::object render_vnc(const model& m, const server& s);
/// Tokens for a link into the panel, good for a minute.
boost::json::object render_login(const model& m, const user& u, const server& s, moment now);
/// The root password that build number `builds` of this server got.
std::string password_of(const model& m, const server& s);
std::string reset_password_of(const model& m, std::int64_t queue_id);
/// The password that a new user of the panel gets.
std::string first_password_of(const model& m, const user& u);

/// Puts `items`, the asked page of `total`, into the frame of a paged list. Its links name an address that
/// nobody can reach.
boost::json::object
render_page(boost::json::array items, const page_request& asked, std::int64_t total, std::string_view path);

} // namespace skyengine::simulator
