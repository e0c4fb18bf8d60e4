#include "tests/torture/world.hpp"

#include <boost/json.hpp>

#include <stdexcept>
#include <utility>

namespace skyengine::torture {

namespace {

namespace json = boost::json;

// The tests' PostgreSQL asks for none, so any will do, and must never be seen again.
constexpr const char* database_password = "never-to-be-seen-in-any-output";

std::string with_password(const std::string& url) {
  const auto at = url.find('@');
  return url.substr(0, at) + ':' + database_password + url.substr(at);
}

} // namespace

world::world(world_options options) : options_(std::move(options)) {
  if (!options_.has_private_database) {
    database_ = std::make_unique<test::test_database>();
    database_url_ = database_->url();
  }
  if (!options_.business_begin.empty())
    test::run_sql(database_url_, "INSERT INTO engine_clock (rate, real_origin, business_origin) VALUES (" +
                                   options_.settings.at("SKYENGINE_CLOCK_RATE") + ", clock_timestamp(), '" +
                                   options_.business_begin + "')");
  auto panel = options_.panel;
  panel.insert(panel.end(), {"--seed", std::to_string(options_.seed)});
  panel_ = std::make_unique<test::simulated_panel>(panel);
  for (int number = 1; number <= options_.engines; ++number) {
    const auto& folder = folders_.emplace_back(std::make_unique<test::temporary_folder>());
    test::engine_options how{folder->path()};
    if (!database_url_.empty())
      how.database_url = with_password(database_url_);
    how.node = "node-" + std::to_string(number);
    how.environment = options_.settings;
    engines_.push_back(std::make_unique<test::engine_process>(*panel_, how));
    engines_.back()->start(options_.crash_at);
  }
  key_ = engine().make_operator_key();
  engine().apply_catalogue();
  make_users();
}

void world::make_users() {
  for (int id = 1; id <= options_.users; ++id) {
    const auto number = std::to_string(id);
    const auto put =
      engine().call("PUT", "/v1/users/" + number, key_,
                    json::serialize(json::object{{"name", "Customer " + number},
                                                 {"email", "customer" + number + "@example.com"}}));
    if (put.status / 100 != 2)
      throw std::runtime_error{"user " + number + " was not taken: " + std::to_string(put.status) + ' ' +
                               put.body + put.failure};
  }
}

std::vector<std::string> world::secrets() const {
  return {key_, test::simulated_panel::token, database_password};
}

} // namespace skyengine::torture
