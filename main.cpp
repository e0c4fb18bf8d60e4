#include "commands/build_info.hpp"
#include "commands/command_line_faults.hpp"
#include "commands/commands.hpp"
#include "config/loader.hpp"
#include "config/log_sink.hpp"
#include "config/setting_report.hpp"
#include "domain/error.hpp"
#include "domain/log.hpp"

#include <CLI/CLI.hpp>
#include <fcntl.h>

#include <algorithm>
#include <cstdio>
#include <exception>
#include <filesystem>
#include <functional>
#include <optional>
#include <string>
#include <vector>

namespace {

using namespace skyengine;

/// Before every subcommand as well as after it: which of them were given is told by `config` and `data_dir`.
struct common_options {
  std::vector<const CLI::Option*> config;
  std::vector<const CLI::Option*> data_dir;
};

struct arguments {
  std::optional<std::string> config_file;
  commands::context context;
  bool is_demo = false;
  commands::demo_options demo;
  std::optional<std::int64_t> key_user;
  bool is_operator_key = false;
  std::vector<std::string> key_scopes;
  std::string key_name = "made on the command line";
  std::string catalogue_file;
  bool is_markdown = false;
  commands::cron_next_options cron_next;
  std::string cron_expression;
  commands::run_options run;
  commands::adopt_options adopt;
  commands::billing_preview_options preview;
};

/// The demo's story stands on the terminal; its log goes to a file beside the database. -1 where that cannot
/// be.
int open_demo_log(const std::filesystem::path& data_dir) {
  std::error_code failed;
  std::filesystem::create_directories(data_dir, failed);
  return ::open((data_dir / "demo.log").c_str(), O_CREAT | O_WRONLY | O_APPEND | O_CLOEXEC, 0600);
}

/// Loads the settings, starts the log and runs `command`; every mistake in the settings is named at once.
int with_settings(arguments& given, const std::function<int(const config::loaded_settings&)>& command) {
  auto loaded = config::load(config::process_input(given.config_file));
  if (!loaded) {
    std::fprintf(stderr, "skyengine: %s\n", loaded.error().detail.c_str());
    return 1;
  }
  given.context.settings = loaded->values;
  config::log_options options;
  options.format = loaded->values.log.format;
  options.least = loaded->values.log.level;
  if (given.is_demo)
    if (const int file = open_demo_log(given.context.data_dir); file >= 0)
      options.descriptor = file;
  config::log_sink sink{options};
  for (const auto& secret : loaded->secrets)
    sink.add_secret(secret);
  log::set_sink(&sink);
  for (const auto& warning : loaded->warnings)
    log::warn(warning);
  const auto code = command(*loaded);
  log::set_sink(nullptr);
  return code;
}

int show_settings(const arguments& given, const config::loaded_settings& loaded) {
  std::fputs((given.is_markdown ? config::render_markdown() : config::render_settings(loaded)).c_str(),
             stdout);
  return 0;
}

/// Prints what a command without settings answers, or what is wrong with its arguments.
int print(const CLI::App& app, const result<std::string>& answer) {
  if (!answer && answer.error().code == errc::invalid_request)
    return commands::refuse_command_line(app, answer.error().detail);
  if (!answer) {
    std::fprintf(stderr, "skyengine: %s\n", answer.error().detail.c_str());
    return 1;
  }
  return std::fputs(answer->c_str(), stdout) < 0 || std::fflush(stdout) != 0 ? 1 : 0;
}

void add_common(CLI::App& app, common_options& common, arguments& given) {
  const CLI::Validator not_empty{
    [](const std::string& value) { return value.empty() ? std::string{"it is empty"} : std::string{}; }, ""};
  common.config.push_back(app.add_option("--config", given.config_file, "TOML file with settings")
                            ->type_name("FILE")
                            ->check(not_empty));
  common.data_dir.push_back(
    app.add_option("--data-dir", given.context.data_dir, "Where the private database lies (default: ./data)")
      ->type_name("DIR")
      ->check(not_empty));
}

/// Whether at most one of `options`, which are one option at several places, was given.
bool is_once(const std::vector<const CLI::Option*>& options) {
  return std::count_if(options.begin(), options.end(),
                       [](const auto* option) { return option->count() > 0; }) < 2;
}

int run(int argc, char** argv) {
  CLI::App app{"The engine behind a VPS hosting panel: creates servers through VirtFusion, exactly once."};
  app.name("skyengine");
  app.set_version_flag("--version", std::string{commands::program_version()});
  app.require_subcommand(1);
  arguments given;
  common_options common;
  std::function<int(const config::loaded_settings&)> command;
  std::function<int()> command_without_settings;

  add_common(app, common, given);
  const auto add = [&](CLI::App* parent, const char* name, const char* help,
                       std::function<int(const config::loaded_settings&)> run) {
    auto* sub = parent->add_subcommand(name, help);
    add_common(*sub, common, given);
    sub->callback([&command, run = std::move(run)] { command = run; });
    return sub;
  };
  add(&app, "serve", "Run a node until SIGTERM", [&](const auto&) { return commands::serve(given.context); });
  auto* demo =
    add(&app, "demo", "Show the engine at work, with a simulated VirtFusion", [&](const auto& loaded) {
      for (const auto& setting : loaded.shown)
        if (setting.name == "http.listen")
          given.demo.is_listen_set = setting.origin != "default";
      return commands::demo(given.context, given.demo);
    });
  demo->parse_complete_callback([&] { given.is_demo = true; });
  demo->add_flag("--once", given.demo.is_once, "Play the story, check it, and end with 0 or 1");
  add(&app, "migrate", "Bring the database to this program's version",
      [&](const auto&) { return commands::migrate(given.context); });
  add(&app, "check", "Report settings, database and VirtFusion; change nothing",
      [&](const auto&) { return commands::check(given.context); });
  add(&app, "audit", "Prove the invariants on the live database",
      [&](const auto&) { return commands::audit(given.context); });
  auto* settings = add(&app, "settings", "Show every setting, its value and where it came from",
                       [&](const auto& loaded) { return show_settings(given, loaded); });
  settings->add_flag("--markdown", given.is_markdown, "As docs/settings.md");

  auto* apikey = app.add_subcommand("apikey", "API keys");
  apikey->require_subcommand(1);
  add_common(*apikey, common, given);
  auto* create = add(apikey, "create", "Make a key and print it alone", [&](const auto&) {
    return commands::create_api_key(given.context, given.key_user, given.key_scopes, given.key_name);
  });
  auto* whose = create->add_option_group("whose");
  whose->add_flag("--operator", given.is_operator_key, "The operator's key");
  whose->add_option("--user", given.key_user, "A user's key")->type_name("ID");
  whose->require_option(1);
  create
    ->add_option(
      "--scopes", given.key_scopes,
      "What it may do; without: an operator's everything, a user's servers:read,servers:write,billing:read")
    ->delimiter(',');
  create->add_option("--name", given.key_name, "What it is for");

  auto* catalogue = app.add_subcommand("catalogue", "Plans and regions");
  catalogue->require_subcommand(1);
  add_common(*catalogue, common, given);
  auto* apply =
    add(catalogue, "apply", "Write plans and regions of a TOML file into the catalogue",
        [&](const auto&) { return commands::apply_catalogue(given.context, given.catalogue_file); });
  apply->add_option("FILE", given.catalogue_file)->required();

  auto* tick = add(&app, "run", "Run one tick of a built-in schedule, and end with its outcome",
                   [&](const auto&) { return commands::run_tick(given.context, given.run); });
  tick->add_option("WHAT", given.run.what, "hourly, monthly, dunning or clean-up")
    ->required()
    ->check(CLI::IsMember(commands::run_words()));
  tick
    ->add_option("--at", given.run.at,
                 "A past time in the tick that is meant, as in 2026-11-23T10:00:00Z (default: the latest)")
    ->type_name("TIME");

  auto* adopt = add(&app, "adopt", "Take over the servers that VirtFusion has and the database does not",
                    [&](const auto&) { return commands::adopt(given.context, given.adopt); });
  adopt->add_flag("--dry-run", given.adopt.is_dry_run, "Only say what would be done");
  adopt
    ->add_option("--map", given.adopt.plans,
                 "The plan that a server is to have, whatever its package; as often as it takes")
    ->allow_extra_args(false)
    ->type_name("SERVER=PLAN");

  auto* cron = app.add_subcommand("cron", "Cron expressions");
  cron->require_subcommand(1);
  add_common(*cron, common, given);
  const auto add_cron = [&](const char* name, const char* help, std::string& expression,
                            std::function<result<std::string>()> answer) {
    auto* sub = cron->add_subcommand(name, help);
    add_common(*sub, common, given);
    sub->add_option("EXPR", expression, "As in \"0 3 * * MON-FRI\", @hourly or \"@every 90s\"")->required();
    sub->callback([&command_without_settings, sub, answer = std::move(answer)] {
      command_without_settings = [sub, answer] { return print(*sub, answer()); };
    });
    return sub;
  };
  auto* next = add_cron("next", "Print when an expression fires next", given.cron_next.expression,
                        [&] { return commands::cron_next(given.cron_next); });
  next->add_option("--tz", given.cron_next.zone, "Its time zone, as in Europe/Berlin (default: UTC)")
    ->type_name("ZONE");
  next
    ->add_option("--from", given.cron_next.from,
                 "After which time, as in 2026-11-23T10:00:00Z (default: now)")
    ->type_name("TIME");
  next->add_option("--count", given.cron_next.count, "How many times (default: 1)")->type_name("N");
  add_cron("describe", "Tell an expression as a sentence", given.cron_expression,
           [&] { return commands::cron_describe(given.cron_expression); });

  auto* billing = app.add_subcommand("billing", "What things cost");
  billing->require_subcommand(1);
  add_common(*billing, common, given);
  auto* preview = billing->add_subcommand("preview", "Print what a server costs by hour and month");
  add_common(*preview, common, given);
  preview->add_option("--price", given.preview.price, "Of a month, as in 5.00")->required()->type_name("SUM");
  preview->add_option("--currency", given.preview.currency, "As in USD")->required()->type_name("CODE");
  preview
    ->add_option("--hours-per-month", given.preview.hours_per_month,
                 "What a month is divided by (default: 730)")
    ->type_name("N");
  preview->add_option("--granularity", given.preview.granularity, "second (default) or hour")
    ->type_name("UNIT");
  preview->add_option("--active", given.preview.active, "When it was active: START/END, as often as it takes")
    ->required()
    ->allow_extra_args(false)
    ->type_name("TIME/TIME");
  preview->callback([&command_without_settings, &given, preview] {
    command_without_settings = [&given, preview] {
      return print(*preview, commands::billing_preview(given.preview));
    };
  });

  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& e) {
    return e.get_exit_code() == 0 ? app.exit(e) : commands::refuse_command_line(app, e);
  }
  if (!is_once(common.config))
    return commands::refuse_command_line(app, "--config is given twice");
  if (!is_once(common.data_dir))
    return commands::refuse_command_line(app, "--data-dir is given twice");
  return command_without_settings ? command_without_settings() : with_settings(given, command);
}

} // namespace

int main(int argc, char** argv) {
  try {
    return run(argc, argv);
  } catch (const std::exception& failure) {
    std::fprintf(stderr, "skyengine: %s\n", failure.what());
    return 1;
  }
}
