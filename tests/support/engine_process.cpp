#include "tests/support/engine_process.hpp"

#include <boost/json.hpp>

#include <fstream>
#include <iterator>
#include <stdexcept>

namespace skyengine::test {

namespace {

namespace json = boost::json;
using namespace std::chrono_literals;

// Between two looks at something that only another process can tell.
constexpr auto look_again = 20ms;
constexpr std::size_t shown_log = 4'000;

constexpr const char* catalogue = R"toml(
[plans.small]
name = "Small"
price = "5.00"
currency = "USD"
virtfusion_package_id = 1

[plans.large]
name = "Large"
price = "10.00"
currency = "USD"
virtfusion_package_id = 2

[regions.north]
name = "North"
virtfusion_hypervisor_group_id = 1

[regions.south]
name = "South"
virtfusion_hypervisor_group_id = 2
)toml";

std::uintmax_t size_of(const std::string& file) {
  std::error_code failed;
  const auto size = std::filesystem::file_size(file, failed);
  return failed ? 0 : size;
}

} // namespace

std::string read_file(const std::filesystem::path& file) {
  std::ifstream in{file, std::ios::binary};
  return {std::istreambuf_iterator<char>{in}, {}};
}

engine_process::engine_process(const simulated_panel& panel, engine_options options)
    : options_(std::move(options)) {
  if (options_.log_file.empty())
    options_.log_file = (options_.data_dir / "engine.log").string();
  environment_ = options_.environment;
  environment_.insert({{"VIRTFUSION_API_URL", panel.url()},
                       {"VIRTFUSION_API_TOKEN", simulated_panel::token},
                       {"SKYENGINE_LISTEN", options_.listen},
                       {"SKYENGINE_NODE", options_.node},
                       {"SKYENGINE_LOG", "json"},
                       // What the surroundings have must not reach the engine.
                       {"SKYENGINE_CONFIG", ""},
                       {"DATABASE_URL", options_.database_url}});
}

process_options engine_process::invocation(std::vector<std::string> arguments) const {
  arguments.insert(arguments.end(), {"--data-dir", options_.data_dir.string()});
  return {built_program("skyengine"), std::move(arguments), environment_, options_.log_file};
}

void engine_process::launch(const std::string& crash_at) {
  log_begin_ = size_of(options_.log_file);
  auto how = invocation({"serve"});
  if (!crash_at.empty())
    how.environment["SKYENGINE_CRASH_AT"] = crash_at;
  child_ = std::make_unique<process>(how);
}

std::string engine_process::told_port() const {
  std::ifstream in{options_.log_file, std::ios::binary};
  in.seekg(static_cast<std::streamoff>(log_begin_));
  for (std::string line; std::getline(in, line);) {
    boost::system::error_code failed;
    const auto parsed = json::parse(line, failed);
    const auto* entry = failed ? nullptr : parsed.if_object();
    if (entry == nullptr || !entry->contains("port") || !entry->contains("msg"))
      continue;
    if (entry->at("msg") == "ready")
      return json::serialize(entry->at("port"));
  }
  return {};
}

bool engine_process::eventually(const std::function<bool()>& holds) {
  const auto limit = std::chrono::steady_clock::now() + std::chrono::minutes{1};
  while (!holds()) {
    if (std::chrono::steady_clock::now() >= limit)
      return false;
    child_->wait(std::chrono::milliseconds{20});
  }
  return true;
}

bool engine_process::wait_ready(std::chrono::milliseconds span) {
  const auto limit = std::chrono::steady_clock::now() + span;
  auto port = options_.listen.substr(options_.listen.rfind(':') + 1);
  const auto is_told = port == "0";
  if (is_told)
    port.clear();
  while (std::chrono::steady_clock::now() < limit) {
    if (is_told && port.empty())
      port = told_port();
    if (!port.empty()) {
      const auto origin = "http://127.0.0.1:" + port;
      if (http_call("GET", origin + "/readyz", {}, {}, 5s).status == 200) {
        const std::lock_guard lock{mutex_};
        origin_ = origin;
        return true;
      }
    }
    if (child_->wait(look_again))
      return false;
  }
  return false;
}

void engine_process::start(const std::string& crash_at) {
  launch(crash_at);
  if (wait_ready())
    return;
  const auto ended = child_->wait(0ms);
  const auto text = log();
  throw std::runtime_error{"the engine is not ready" +
                           (ended ? ", it ended with " + std::to_string(*ended) : std::string{}) + ": " +
                           text.substr(text.size() - std::min(text.size(), shown_log))};
}

std::string engine_process::origin() const {
  const std::lock_guard lock{mutex_};
  return origin_;
}

call_answer engine_process::call(std::string_view method,
                                 std::string_view path,
                                 const std::string& key,
                                 const std::string& body,
                                 std::vector<std::pair<std::string, std::string>> headers,
                                 std::chrono::milliseconds patience) const {
  if (!key.empty())
    headers.emplace_back("Authorization", "Bearer " + key);
  if (!body.empty())
    headers.emplace_back("Content-Type", "application/json");
  return http_call(method, origin() + std::string{path}, body, headers, patience);
}

command_result engine_process::run(std::vector<std::string> arguments) const {
  process command{invocation(std::move(arguments))};
  command_result left;
  left.output = command.read_all(60s);
  left.code = command.wait(10s).value_or(-1);
  return left;
}

std::string engine_process::make_operator_key() const {
  auto made = run({"apikey", "create", "--operator"});
  while (!made.output.empty() && made.output.back() == '\n')
    made.output.pop_back();
  if (made.code != 0 || made.output.empty())
    throw std::runtime_error{"no key was made: " + log()};
  return made.output;
}

void engine_process::apply_catalogue() const {
  const auto file = options_.data_dir / "catalogue.toml";
  std::ofstream{file} << catalogue;
  if (const auto applied = run({"catalogue", "apply", file.string()}); applied.code != 0)
    throw std::runtime_error{"the catalogue was not taken: " + applied.output + log()};
}

std::string engine_process::log() const {
  return read_file(options_.log_file);
}

} // namespace skyengine::test
