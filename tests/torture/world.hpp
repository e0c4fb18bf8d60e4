#pragma once

#include "tests/support/engine_process.hpp"
#include "tests/support/postgres.hpp"
#include "tests/support/simulator.hpp"
#include "tests/support/temporary_folder.hpp"

#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <vector>

namespace skyengine::torture {

struct world_options {
  /// The simulator's, besides its seed.
  std::vector<std::string> panel = {"--build-time", "0.5"};
  std::uint64_t seed = 1;
  /// Engines `node-1`, `node-2`, … on one database.
  int engines = 1;
  /// Users 1 to this exist.
  int users = 8;
  /// A private PostgreSQL below the (one) engine's data folder instead of a database of the tests' own one.
  bool has_private_database = false;
  /// Where the engines end by their first start's hand: SKYENGINE_CRASH_AT.
  std::string crash_at = {};
  /// When business time begins, as SQL has it; empty: now. The rate is that of the settings.
  std::string business_begin = {};
  /// Settings of the engines, as environment.
  std::map<std::string, std::string> settings = {{"SKYENGINE_PROVISIONING_SETTLE", "2s"}};
};

/// A panel, a database with catalogue and users, and engines between them: all real processes. The engines
/// are ready when it is made.
class world {
public:
  explicit world(world_options options);

  test::simulated_panel& panel() noexcept { return *panel_; }
  test::engine_process& engine(std::size_t number = 0) noexcept { return *engines_.at(number); }
  std::size_t engines() const noexcept { return engines_.size(); }
  /// An operator's key.
  const std::string& key() const noexcept { return key_; }
  const world_options& options() const noexcept { return options_; }
  /// Not with a private one.
  const test::test_database& database() const { return *database_; }
  /// Empty with a private one.
  const std::string& database_url() const noexcept { return database_url_; }

  /// What must stand in no log and no output, besides what the engine makes.
  std::vector<std::string> secrets() const;

private:
  void make_users();

  world_options options_;
  std::vector<std::unique_ptr<test::temporary_folder>> folders_;
  std::unique_ptr<test::test_database> database_;
  std::string database_url_;
  std::unique_ptr<test::simulated_panel> panel_;
  std::vector<std::unique_ptr<test::engine_process>> engines_;
  std::string key_;
};

} // namespace skyengine::torture
