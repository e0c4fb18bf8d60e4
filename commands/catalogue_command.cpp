#include "commands/commands.hpp"
#include "commands/database_session.hpp"
#include "config/small_file.hpp"
#include "db/catalogue_store.hpp"
#include "domain/names.hpp"

#include <toml++/toml.h>

#include <algorithm>
#include <cstdio>
#include <functional>
#include <limits>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace skyengine::commands {

namespace {

namespace asio = boost::asio;

constexpr std::size_t most_os_templates = 200;

/// What is wrong with the file, each with the line that it is about.
class file_faults {
public:
  void add(const toml::node& at, const std::string& what) {
    list_.emplace_back(at.source().begin.line, what);
  }
  bool empty() const noexcept { return list_.empty(); }

  /// All of them in the order of the file.
  error as_error(const std::string& file) {
    std::stable_sort(list_.begin(), list_.end(),
                     [](const auto& a, const auto& b) { return a.first < b.first; });
    auto lines =
      file + (list_.size() == 1 ? " has a mistake:" : " has " + std::to_string(list_.size()) + " mistakes:");
    for (const auto& [line, what] : list_)
      lines += "\n  line " + std::to_string(line) + ": " + what;
    return {errc::invalid_request, lines};
  }

private:
  std::vector<std::pair<toml::source_index, std::string>> list_;
};

/// Reads one table of the file, key by key. One that is missing or wrong is noted once, and read as nullopt.
class table_reader {
public:
  table_reader(const toml::table& table, std::string where, file_faults& faults)
      : table_(table), where_(std::move(where)), faults_(faults) {}

  std::optional<std::string> text(std::string_view key) { return read<std::string>(key, "a string"); }
  std::optional<std::int64_t> number(std::string_view key, std::int64_t least, std::int64_t most) {
    const auto value = read<std::int64_t>(key, "an integer");
    if (!value || (*value >= least && *value <= most))
      return value;
    complain(key, most == any_number
                    ? "is not at least " + std::to_string(least)
                    : "is not from " + std::to_string(least) + " to " + std::to_string(most));
    return std::nullopt;
  }
  std::optional<bool> flag(std::string_view key) { return read<bool>(key, "true or false"); }
  std::string name() {
    const auto given = required("name", text("name"));
    if (!given)
      return {};
    if (const auto checked = check_text(*given); !checked)
      complain("name", given->empty() ? "is empty" : checked.error().detail);
    return *given;
  }
  /// A number that VirtFusion gave.
  std::int64_t id(std::string_view key) { return required(key, number(key, 1, any_number)).value_or(0); }
  std::vector<std::int64_t> ids(std::string_view key) {
    known_.emplace(key);
    std::vector<std::int64_t> values;
    const auto* node = table_.get(key);
    if (node == nullptr)
      return values;
    const auto* list = node->as_array();
    if (list == nullptr) {
      complain(key, "is not a list");
      return values;
    }
    if (list->size() > most_os_templates)
      complain(key, "has more than " + std::to_string(most_os_templates) + " items");
    for (std::size_t i = 0; i < list->size(); ++i) {
      const auto value = list->get(i)->value_exact<std::int64_t>();
      if (value && *value > 0)
        values.push_back(*value);
      else
        faults_.add(*list->get(i), full(key) + "[" + std::to_string(i) + "] is not an id");
    }
    return values;
  }

  /// The value, if it was given; that it was not is a fault.
  template <class T>
  std::optional<T> required(std::string_view key, std::optional<T> value) {
    if (!table_.contains(key))
      faults_.add(table_, full(key) + " is missing");
    return value;
  }
  void complain(std::string_view key, const std::string& reason) {
    const auto* node = table_.get(key);
    faults_.add(node != nullptr ? *node : table_, full(key) + " " + reason);
  }
  void complain(const std::string& reason) { faults_.add(table_, where_ + " " + reason); }
  void finish() {
    for (const auto& [key, value] : table_)
      if (!known_.contains(std::string{key.str()}))
        complain(key.str(), "is not known");
  }

  static constexpr auto any_number = std::numeric_limits<std::int64_t>::max();

private:
  std::string full(std::string_view key) const { return where_ + "." + std::string{key}; }

  template <class T>
  std::optional<T> read(std::string_view key, const char* wanted) {
    known_.emplace(key);
    const auto* node = table_.get(key);
    if (node == nullptr)
      return std::nullopt;
    auto value = node->value_exact<T>();
    if (!value)
      complain(key, std::string{"is not "} + wanted);
    return value;
  }

  const toml::table& table_;
  std::string where_;
  file_faults& faults_;
  std::set<std::string> known_;
};

struct catalogue {
  std::vector<plan> plans;
  std::vector<region> regions;
};

void check_id(std::string_view id, table_reader& from) {
  if (const auto named = check_short_name(id); !named)
    from.complain("is no id: " + named.error().detail);
}

plan read_plan(std::string_view id, table_reader& from) {
  plan p;
  p.id = {std::string{id}};
  check_id(id, from);
  p.name = from.name();
  if (const auto text = from.required("currency", from.text("currency"))) {
    if (const auto currency = parse_currency(*text))
      p.currency = *currency;
    else
      from.complain("currency", "is none: " + currency.error().detail);
  }
  if (const auto text = from.required("price", from.text("price"))) {
    if (const auto price = parse_money(*text))
      p.terms.monthly_price = *price;
    else
      from.complain("price", "is no amount: " + price.error().detail);
  }
  if (const auto hours = from.number("hours_per_month", 1, 8'784))
    p.terms.hours_per_month = static_cast<int>(*hours);
  if (const auto text = from.text("basis")) {
    if (const auto basis = parse_billing_basis(*text))
      p.terms.basis = *basis;
    else
      from.complain("basis", "is neither allocated nor uptime");
  }
  if (const auto text = from.text("granularity")) {
    if (const auto granularity = parse_billing_granularity(*text))
      p.terms.granularity = *granularity;
    else
      from.complain("granularity", "is neither second nor hour");
  }
  p.package = {from.id("virtfusion_package_id")};
  p.os_templates = from.ids("os_template_ids");
  p.ipv6 = from.flag("ipv6").value_or(false);
  p.active = from.flag("active").value_or(true);
  return p;
}

region read_region(std::string_view id, table_reader& from) {
  region r;
  r.id = {std::string{id}};
  check_id(id, from);
  r.name = from.name();
  r.group = {from.id("virtfusion_hypervisor_group_id")};
  r.active = from.flag("active").value_or(true);
  return r;
}

result<catalogue> read_catalogue(const std::filesystem::path& file) {
  const auto text = config::read_small_file(file.string());
  if (!text)
    return text.error();
  toml::table root;
  try {
    root = toml::parse(*text);
  } catch (const toml::parse_error& e) {
    return error{errc::invalid_request, file.string() + " is not TOML: line " +
                                          std::to_string(e.source().begin.line) + ": " +
                                          std::string{e.description()}};
  }
  catalogue all;
  file_faults faults;
  const auto each = [&](const char* kind, const std::function<void(std::string_view, table_reader&)>& read) {
    const auto* kinds = root.get(kind);
    if (kinds == nullptr)
      return;
    if (!kinds->is_table()) {
      faults.add(*kinds, std::string{kind} + " is not a table: it is written [" + kind + ".<id>]");
      return;
    }
    for (const auto& [id, node] : *kinds->as_table()) {
      const auto where = std::string{kind} + "." + std::string{id.str()};
      if (!node.is_table()) {
        faults.add(node, where + " is not a table");
        continue;
      }
      table_reader reader{*node.as_table(), where, faults};
      read(id.str(), reader);
      reader.finish();
    }
  };
  each("plans", [&](std::string_view id, table_reader& from) { all.plans.push_back(read_plan(id, from)); });
  each("regions",
       [&](std::string_view id, table_reader& from) { all.regions.push_back(read_region(id, from)); });
  for (const auto& [key, node] : root)
    if (key.str() != "plans" && key.str() != "regions")
      faults.add(node,
                 std::string{key.str()} + " is not known: there are [plans.<id>] and [regions.<id>] alone");
  if (!faults.empty())
    return faults.as_error(file.string());
  return all;
}

void say(const char* kind, const std::string& id, db::upsert done) {
  const char* what = done == db::upsert::created   ? "created"
                     : done == db::upsert::changed ? "changed"
                                                   : "unchanged";
  std::printf("%-9s %s %s\n", what, kind, id.c_str());
}

asio::awaitable<result<>> apply(db::catalogue_store& store, catalogue all, instant now) {
  if (all.plans.empty() && all.regions.empty())
    std::puts("nothing to apply: there are no [plans.<id>] and no [regions.<id>]");
  const auto done = co_await store.put_all(all.plans, all.regions, "command line", now);
  if (!done)
    co_return done.error();
  for (std::size_t i = 0; i < all.plans.size(); ++i)
    say("plan", all.plans[i].id.value, done->plans[i]);
  for (std::size_t i = 0; i < all.regions.size(); ++i)
    say("region", all.regions[i].id.value, done->regions[i]);
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
  warn_of_place(**session, given.settings, given.data_dir);
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
