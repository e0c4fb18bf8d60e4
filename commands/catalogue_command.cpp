#include "commands/commands.hpp"
#include "commands/database_session.hpp"
#include "db/catalogue_store.hpp"
#include "domain/names.hpp"

#include <toml++/toml.h>

#include <cstdio>
#include <functional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

namespace skyengine::commands {

namespace {

namespace asio = boost::asio;

/// Reads one table of the file, field by field, and keeps what is wrong with it.
class table_reader {
public:
  table_reader(const toml::table& table, std::string where, std::vector<std::string>& problems)
      : table_(table), where_(std::move(where)), problems_(problems) {}

  std::string text(std::string_view key, std::optional<std::string> otherwise = std::nullopt) {
    return read<std::string>(key, std::move(otherwise), "a string");
  }
  std::int64_t number(std::string_view key, std::optional<std::int64_t> otherwise = std::nullopt) {
    return read<std::int64_t>(key, otherwise, "an integer");
  }
  bool flag(std::string_view key, bool otherwise) { return read<bool>(key, otherwise, "true or false"); }
  std::vector<std::int64_t> numbers(std::string_view key) {
    known_.emplace(key);
    std::vector<std::int64_t> values;
    if (const auto* list = table_[key].as_array())
      for (const auto& item : *list)
        if (const auto value = item.value<std::int64_t>())
          values.push_back(*value);
        else
          complain(key, "must be a list of integers");
    else if (table_.contains(key))
      complain(key, "must be a list of integers");
    return values;
  }

  void complain(std::string_view key, const std::string& reason) {
    problems_.push_back(where_ + "." + std::string{key} + ": " + reason);
  }
  template <class T>
  T checked(std::string_view key, result<T> value) {
    if (value)
      return std::move(*value);
    complain(key, value.error().detail);
    return {};
  }
  void finish() {
    for (const auto& [key, value] : table_)
      if (!known_.contains(std::string{key.str()}))
        complain(key.str(), "is not known");
  }

private:
  template <class T>
  T read(std::string_view key, std::optional<T> otherwise, const char* wanted) {
    known_.emplace(key);
    const auto node = table_[key];
    if (!node) {
      if (!otherwise)
        complain(key, "is missing");
      return otherwise.value_or(T{});
    }
    if (const auto value = node.template value_exact<T>())
      return *value;
    complain(key, std::string{"must be "} + wanted);
    return {};
  }

  const toml::table& table_;
  std::string where_;
  std::vector<std::string>& problems_;
  std::set<std::string> known_;
};

struct catalogue {
  std::vector<plan> plans;
  std::vector<region> regions;
};

plan read_plan(std::string_view id, table_reader& from) {
  plan p;
  p.id = {std::string{id}};
  if (const auto named = check_short_name(id); !named)
    from.complain("", named.error().detail);
  p.name = from.text("name");
  p.currency = from.checked("currency", parse_currency(from.text("currency")));
  p.terms.monthly_price = from.checked("price", parse_money(from.text("price")));
  p.terms.hours_per_month = static_cast<int>(from.number("hours_per_month", 730));
  if (p.terms.hours_per_month < 1 || p.terms.hours_per_month > 8784)
    from.complain("hours_per_month", "must be 1 to 8784");
  if (const auto basis = parse_billing_basis(from.text("basis", "allocated")))
    p.terms.basis = *basis;
  else
    from.complain("basis", "must be allocated or uptime");
  if (const auto granularity = parse_billing_granularity(from.text("granularity", "second")))
    p.terms.granularity = *granularity;
  else
    from.complain("granularity", "must be second or hour");
  p.package = {from.number("virtfusion_package_id")};
  if (p.package.value < 1)
    from.complain("virtfusion_package_id", "must be at least 1");
  p.os_templates = from.numbers("os_template_ids");
  p.ipv6 = from.flag("ipv6", false);
  p.active = from.flag("active", true);
  return p;
}

region read_region(std::string_view id, table_reader& from) {
  region r;
  r.id = {std::string{id}};
  if (const auto named = check_short_name(id); !named)
    from.complain("", named.error().detail);
  r.name = from.text("name");
  r.group = {from.number("virtfusion_hypervisor_group_id")};
  if (r.group.value < 1)
    from.complain("virtfusion_hypervisor_group_id", "must be at least 1");
  r.active = from.flag("active", true);
  return r;
}

result<catalogue> read_catalogue(const std::filesystem::path& file) {
  toml::table root;
  try {
    root = toml::parse_file(file.string());
  } catch (const toml::parse_error& e) {
    return error{errc::invalid_request, file.string() + ":" + std::to_string(e.source().begin.line) + ": " +
                                          std::string{e.description()}};
  }
  catalogue all;
  std::vector<std::string> problems;
  const auto each = [&](const char* kind, const std::function<void(std::string_view, table_reader&)>& read) {
    if (const auto* tables = root[kind].as_table())
      for (const auto& [id, node] : *tables) {
        const auto* table = node.as_table();
        const auto where = std::string{kind} + "." + std::string{id.str()};
        if (table == nullptr) {
          problems.push_back(where + ": must be a table");
          continue;
        }
        table_reader reader{*table, where, problems};
        read(id.str(), reader);
        reader.finish();
      }
  };
  each("plans", [&](std::string_view id, table_reader& from) { all.plans.push_back(read_plan(id, from)); });
  each("regions",
       [&](std::string_view id, table_reader& from) { all.regions.push_back(read_region(id, from)); });
  for (const auto& [key, node] : root)
    if (key.str() != "plans" && key.str() != "regions")
      problems.push_back(std::string{key.str()} + ": only [plans.<id>] and [regions.<id>] are known");
  if (problems.empty())
    return all;
  std::string lines = file.string() + " has mistakes:";
  for (const auto& problem : problems)
    lines += "\n  " + problem;
  return error{errc::invalid_request, lines};
}

void say(const char* kind, const std::string& id, db::upsert done) {
  const char* what = done == db::upsert::created   ? "created"
                     : done == db::upsert::changed ? "changed"
                                                   : "unchanged";
  std::printf("%-9s %s %s\n", what, kind, id.c_str());
}

asio::awaitable<result<>> apply(db::catalogue_store& store, catalogue all, instant now) {
  for (const auto& one : all.plans) {
    const auto done = co_await store.put_plan(one, "command line", now);
    if (!done)
      co_return error{done.error().code, "plan " + one.id.value + ": " + done.error().detail};
    say("plan", one.id.value, *done);
  }
  for (const auto& one : all.regions) {
    const auto done = co_await store.put_region(one, "command line", now);
    if (!done)
      co_return error{done.error().code, "region " + one.id.value + ": " + done.error().detail};
    say("region", one.id.value, *done);
  }
  co_return result<>{};
}

} // namespace

int apply_catalogue(const context& given, const std::filesystem::path& file) {
  auto read = read_catalogue(file);
  if (!read) {
    std::fprintf(stderr, "skyengine: %s\n", read.error().detail.c_str());
    return 1;
  }
  const auto session = database_session::open(given.settings, given.data_dir);
  if (!session) {
    std::fprintf(stderr, "skyengine: %s\n", session.error().detail.c_str());
    return 1;
  }
  db::catalogue_store store{(*session)->database()};
  const auto done =
    run_to_end((*session)->loop(), apply(store, std::move(*read), (*session)->business().now()));
  if (!done) {
    std::fprintf(stderr, "skyengine: %s\n", done.error().detail.c_str());
    return 1;
  }
  return 0;
}

} // namespace skyengine::commands
