#include "tests/support/engine.hpp"

#include "actors/zone_loader.hpp"
#include "db/api_key_store.hpp"
#include "net/api/api_key_secret.hpp"
#include "tests/support/at_end.hpp"
#include "tests/support/contract.hpp"

#include <boost/json/parse.hpp>
#include <caf/send.hpp>
#include <gtest/gtest.h>

#include <stdexcept>

namespace skyengine::test {

namespace {

using namespace std::chrono_literals;

net::api::edge_options with_handlers(net::api::edge_options options) {
  options.cron_handlers = {"daily-clean-up"};
  return options;
}

const std::vector<std::string> all_scopes{known_scopes.begin(), known_scopes.end()};

std::string request_text(std::string_view key,
                         std::string_view method,
                         std::string_view target,
                         std::string_view body,
                         const engine::headers& more) {
  std::string text{method};
  text.append(" ").append(target).append(" HTTP/1.1\r\nHost: engine\r\nConnection: close\r\n");
  if (!key.empty())
    text.append("Authorization: Bearer ").append(key).append("\r\n");
  auto names_type = false;
  for (const auto& [name, value] : more) {
    text.append(name).append(": ").append(value).append("\r\n");
    names_type = names_type || name == "Content-Type";
  }
  if (!body.empty()) {
    if (!names_type)
      text.append("Content-Type: application/json\r\n");
    text.append("Content-Length: ").append(std::to_string(body.size())).append("\r\n");
  }
  return text.append("\r\n").append(body);
}

} // namespace

boost::json::value api_answer::json() const {
  boost::system::error_code ec;
  auto parsed = boost::json::parse(body, ec);
  return ec ? boost::json::value{} : parsed;
}

boost::json::value api_answer::at(std::string_view pointer) const {
  const auto whole = json();
  boost::system::error_code ec;
  const auto* found = whole.find_pointer(pointer, ec);
  return found == nullptr ? boost::json::value{} : *found;
}

engine::engine(const test_database& database,
               const simulated_panel& panel,
               net::api::edge_options options,
               rig_options rig_settings,
               const clock* business)
    : rig(database, panel, std::move(rig_settings)),
      edge(rig.runtime.loop().get_executor(),
           {rig.db, rig.runtime.asker(), rig.runtime.timers(), rig.caller,
            business == nullptr ? rig.business : *business, rig.runtime.figures(), actors::load_zone},
           with_handlers(std::move(options))),
      server(
        rig.runtime.loop().get_executor(),
        {},
        [this](const net::http::request& request) { return edge.handle(request); },
        [this](const error& why, const std::string& id) { return edge.reject(why, id); }) {
  edge.set_provisioner(rig.provisioner);
  edge.set_gateway(rig.gateway);
  edge.set_ready();
  const auto bound = server.listen("127.0.0.1", 0);
  if (!bound)
    throw std::runtime_error(bound.error().detail);
  endpoint = *bound;
  operator_key = make_key(std::nullopt, {});
  user_1_key = make_key(user_id{1}, all_scopes);
  user_2_key = make_key(user_id{2}, all_scopes);
}

engine::~engine() {
  at_end([this] { run(rig.runtime.loop(), server.stop(1s)); });
  edge.set_provisioner({});
  edge.set_gateway({});
  edge.set_supervisor({});
}

api_answer
engine::call(std::string_view method, std::string_view target, std::string_view body, headers more) {
  return call_as(operator_key, method, target, body, std::move(more));
}

api_answer engine::call_as(std::string_view key,
                           std::string_view method,
                           std::string_view target,
                           std::string_view body,
                           headers more) {
  auto connection = begin(key, method, target, body, std::move(more));
  auto answered = connection.answer(method == "HEAD");
  if (!answered)
    throw std::runtime_error("no answer to " + std::string{method} + " " + std::string{target});
  const auto& contract = contract::api();
  if (method != "HEAD" && !contract.operation_of(method, target).empty())
    for (const auto& misfit : contract.check_answer(method, target, answered->status, answered->body))
      ADD_FAILURE() << method << " " << target << ": " << misfit << "\n" << answered->body;
  return {std::move(*answered)};
}

raw_connection engine::begin(std::string_view key,
                             std::string_view method,
                             std::string_view target,
                             std::string_view body,
                             headers more) {
  raw_connection connection{rig.runtime.loop(), endpoint};
  connection.send(request_text(key, method, target, body, more));
  return connection;
}

std::string engine::make_key(std::optional<user_id> user, std::vector<std::string> scopes) {
  const auto text = net::api::make_api_key_secret();
  db::api_key_store keys{rig.db};
  const auto stored =
    run(rig.runtime.loop(), keys.insert(net::api::sha256_hex(text.reveal()), "test", user, std::move(scopes),
                                        "test", std::nullopt, rig.business.now()));
  if (!stored)
    throw std::runtime_error(stored.error().detail);
  return text.reveal();
}

void engine::replace_provisioner() {
  const auto fallen = rig.provisioner;
  rig.provisioner = actors::spawn_server_provisioner(rig.runtime.system(), rig.runtime.loop().get_executor(),
                                                     rig.servers, rig.services, {});
  edge.set_provisioner(rig.provisioner);
  caf::anon_send(rig.provisioner, actors::lease_acquired{});
  caf::anon_send_exit(fallen, caf::exit_reason::kill);
}

std::int64_t engine::make_server(std::string_view body) {
  const auto created = call("POST", "/v1/servers", body);
  if (created.status != 201)
    throw std::runtime_error("no server: " + created.body);
  rig.wait_for({created.at("/actionId").as_int64()});
  return created.at("/id").as_int64();
}

} // namespace skyengine::test
