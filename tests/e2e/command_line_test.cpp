#include "domain/time_format.hpp"
#include "tests/support/engine_process.hpp"
#include "tests/support/postgres.hpp"
#include "tests/support/process.hpp"
#include "tests/support/temporary_folder.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>
#include <filesystem>
#include <fstream>
#include <map>
#include <string>
#include <vector>

namespace skyengine {
namespace {

using testing::AllOf;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Not;
using testing::StartsWith;

struct ended {
  int code = 0;
  std::string output = {};
  std::string errors = {};
};

class CommandLine : public testing::Test {
protected:
  /// Runs `skyengine` with these arguments alone, and no setting of the surroundings.
  ended run(std::vector<std::string> arguments, std::map<std::string, std::string> environment = {}) const {
    environment.insert({{"SKYENGINE_CONFIG", ""},
                        {"DATABASE_URL", ""},
                        {"VIRTFUSION_API_URL", ""},
                        {"VIRTFUSION_API_TOKEN", ""}});
    const test::temporary_folder folder;
    const auto errors = folder.path() / "errors";
    test::process child{
      {test::built_program("skyengine"), std::move(arguments), std::move(environment), errors.string()}};
    ended left;
    left.output = child.read_all();
    left.code = child.wait().value_or(-1);
    left.errors = test::read_file(errors);
    return left;
  }
};

TEST_F(CommandLine, NamesAnUnknownSubcommandAndThoseThatThereAre) {
  const auto told = run({"bogus", "--once"});
  EXPECT_EQ(told.code, 2);
  EXPECT_THAT(told.output, IsEmpty());
  EXPECT_THAT(told.errors,
              AllOf(HasSubstr("skyengine: there is no subcommand \"bogus\" (known: serve, demo, "),
                    HasSubstr("`skyengine --help` tells more.")));
  const auto inner = run({"apikey", "mke"});
  EXPECT_EQ(inner.code, 2);
  EXPECT_THAT(inner.errors, HasSubstr("skyengine apikey: there is no subcommand \"mke\" (known: create)\n"));
  const auto none = run({});
  EXPECT_EQ(none.code, 2);
  EXPECT_THAT(none.errors, HasSubstr("skyengine: a subcommand is missing: one of serve, demo, "));
}

TEST_F(CommandLine, NamesAnUnknownOptionAndThoseThatThereAre) {
  const auto told = run({"demo", "--onec"});
  EXPECT_EQ(told.code, 2);
  EXPECT_THAT(told.errors, AllOf(HasSubstr("skyengine demo: there is no option \"--onec\" (known: "),
                                 HasSubstr("--data-dir"), HasSubstr("--once"),
                                 HasSubstr("`skyengine demo --help` tells more.")));
  const auto grouped = run({"apikey", "create", "--operatr"});
  EXPECT_EQ(grouped.code, 2);
  EXPECT_THAT(grouped.errors, AllOf(HasSubstr("there is no option \"--operatr\" (known: "),
                                    HasSubstr("--operator"), HasSubstr("--scopes")));
  const auto first = run({"--bogus", "serve"});
  EXPECT_EQ(first.code, 2);
  EXPECT_THAT(first.errors, HasSubstr("skyengine: there is no option \"--bogus\" (known: "));
  const auto word = run({"serve", "extra"});
  EXPECT_EQ(word.code, 2);
  EXPECT_THAT(word.errors, HasSubstr("skyengine serve: nothing was expected where \"extra\" stands\n"));
}

TEST_F(CommandLine, TakesWhatAllSubcommandsShareBeforeAndAfterThem) {
  const test::temporary_folder folder;
  const auto file = (folder.path() / "sky.toml").string();
  std::ofstream{file} << "http.patience = \"3s\"\n";
  const auto set = HasSubstr("http.patience = \"3s\"");
  EXPECT_THAT(run({"settings", "--config", file}).output, set);
  EXPECT_THAT(run({"--config", file, "settings"}).output, set);
  EXPECT_THAT(run({"--config=" + file, "settings", "--markdown"}).output, HasSubstr("http.patience"));

  const auto data = (folder.path() / "data").string();
  const auto named = HasSubstr("in " + data);
  EXPECT_THAT(run({"check", "--data-dir", data}).output, named);
  EXPECT_THAT(run({"--data-dir", data, "check"}).output, named);
  const auto within = run({"catalogue", "--data-dir", data, "--config", file, "apply", "missing.toml"});
  EXPECT_EQ(within.code, 1) << within.errors;

  const auto twice = run({"--config", file, "settings", "--config", file});
  EXPECT_EQ(twice.code, 2);
  EXPECT_THAT(twice.errors, HasSubstr("--config is given twice"));
}

TEST_F(CommandLine, RefusesAnEmptyNameOfAFolderOrFile) {
  for (const auto* option : {"--data-dir", "--config"}) {
    for (const auto& told : {run({"check", option, ""}), run({option, "", "check"})}) {
      EXPECT_EQ(told.code, 2);
      EXPECT_THAT(told.output, IsEmpty());
      EXPECT_THAT(told.errors, HasSubstr(std::string{option} + ": it is empty"));
    }
  }
}

class CronCommands : public CommandLine {
protected:
  /// With settings that would stop every command that reads them.
  ended run_cron(std::vector<std::string> arguments) const {
    arguments.insert(arguments.begin(), "cron");
    return run(std::move(arguments), {{"SKYENGINE_CONFIG", "/nowhere/sky.toml"}, {"SKYENGINE_BOGUS", "1"}});
  }
};

TEST_F(CronCommands, PrintTheNextTimes) {
  const auto utc = run_cron({"next", "*/20 8 * * *", "--from", "2026-11-23T08:00:00Z", "--count", "3"});
  EXPECT_EQ(utc.code, 0);
  EXPECT_EQ(utc.output, "2026-11-23T08:20:00Z\n2026-11-23T08:40:00Z\n2026-11-24T08:00:00Z\n");
  EXPECT_THAT(utc.errors, IsEmpty());

  const auto berlin = run_cron(
    {"next", "--tz", "Europe/Berlin", "--from=2026-03-28T00:00:00.5+01:00", "--count=3", "30 2 * * *"});
  EXPECT_EQ(berlin.code, 0) << berlin.errors;
  EXPECT_EQ(berlin.output,
            "2026-03-28T02:30:00+01:00\n2026-03-29T03:00:00+02:00\n2026-03-30T02:30:00+02:00\n");
}

TEST_F(CronCommands, StandOnUtcAndNowAndPrintOnce) {
  const auto before = std::chrono::floor<std::chrono::seconds>(std::chrono::system_clock::now());
  const auto told = run_cron({"next", "* * * * * *"});
  const auto after = std::chrono::floor<std::chrono::seconds>(std::chrono::system_clock::now());
  EXPECT_EQ(told.code, 0) << told.errors;
  ASSERT_TRUE(told.output.ends_with("Z\n")) << told.output;
  const auto next = parse_whole_seconds(told.output.substr(0, told.output.size() - 1));
  ASSERT_TRUE(next) << told.output;
  EXPECT_GT(*next, before);
  EXPECT_LE(*next, after + std::chrono::seconds{1});
}

TEST_F(CronCommands, DescribeAnExpression) {
  const auto told = run_cron({"describe", "0 3 * * MON-FRI", "--data-dir", "/nowhere"});
  EXPECT_EQ(told.code, 0);
  EXPECT_EQ(told.output, "At 03:00, on Monday through Friday\n");
  EXPECT_THAT(told.errors, IsEmpty());
}

TEST_F(CronCommands, RefuseEveryBadArgumentWithItsReason) {
  const std::map<std::vector<std::string>, std::string> refused{
    {{"next", "75 * * * *"}, "skyengine cron next: minute: 75 is above 59, at character 1\n"},
    {{"describe", "0 0 30 2 *"},
     "skyengine cron describe: day of month: no month that is asked for has such a day, so this never "
     "fires\n"},
    {{"next", ""}, "skyengine cron next: expression: it is empty\n"},
    {{"next"}, "skyengine cron next: EXPR is required\n"},
    {{"describe"}, "skyengine cron describe: EXPR is required\n"},
    {{"next", "0", "3", "*", "*", "*"}, "skyengine cron next: nothing was expected where \"3\" stands\n"},
    {{"next", "@daily", "--tz", "Mars/Phobos"},
     "skyengine cron next: --tz: \"Mars/Phobos\" is no time zone that this system knows\n"},
    {{"next", "@daily", "--tz", "../../etc/passwd"},
     "skyengine cron next: --tz: \"../../etc/passwd\" is no time zone that this system knows\n"},
    {{"next", "@daily", "--tz", ""},
     "skyengine cron next: --tz: a time zone has a name, as in Europe/Berlin\n"},
    {{"next", "@daily", "--tz", "UTC", "--tz", "UTC"}, "skyengine cron next: --tz: "},
    {{"next", "@daily", "--from", "2026-11-23"},
     "skyengine cron next: --from: a time is RFC 3339 with an offset, as in 2026-11-23T10:00:00Z\n"},
    {{"next", "@daily", "--from", ""}, "skyengine cron next: --from: a time is RFC 3339 "},
    {{"next", "@daily", "--count", "0"},
     "skyengine cron next: --count: a count is a number from 1 to 100000\n"},
    {{"next", "@daily", "--count", "-1"}, "skyengine cron next: --count: a count is a number"},
    {{"next", "@daily", "--count", "1.5"}, "skyengine cron next: --count: a count is a number"},
    {{"next", "@daily", "--count", "100001"}, "skyengine cron next: --count: a count is a number"},
    {{"next", "*/5 2 */15 3 SUN#5", "--tz", "Europe/Berlin"},
     "skyengine cron next: expression: it does not fire in the time zone Europe/Berlin after 20"},
    {{"next", "@yearly", "--from", "9997-06-01T00:00:00Z", "--count", "3"},
     "skyengine cron next: --count: before the year 10000 it fires 2 times more\n"},
    {{"next", "@daily", "--utc"}, "skyengine cron next: there is no option \"--utc\" (known: "},
    {{"next", "-5 * * * *"},
     "skyengine cron next: minute: \"-5\" is no number from 0 to 59, at character 1\n"},
    {{"before"}, "skyengine cron: there is no subcommand \"before\" (known: next, describe)\n"},
    {{}, "skyengine cron: a subcommand is missing: one of next, describe\n"}};
  for (const auto& [arguments, reason] : refused) {
    const auto told = run_cron(arguments);
    EXPECT_EQ(told.code, 2) << reason;
    EXPECT_THAT(told.output, IsEmpty()) << reason;
    EXPECT_THAT(told.errors, StartsWith(reason));
  }
}

class BillingPreview : public CommandLine {
protected:
  ended preview(std::vector<std::string> arguments) const {
    arguments.insert(arguments.begin(), {"billing", "preview"});
    return run(std::move(arguments));
  }
  /// With what is needed otherwise: two hours of a plan of 5.00.
  ended preview_with(std::vector<std::string> more) const {
    more.insert(more.begin(), {"--price", "5.00", "--currency", "USD", "--active",
                               "2026-01-01T00:00:00Z/2026-01-01T02:00:00Z"});
    return preview(std::move(more));
  }
};

TEST_F(BillingPreview, PrintsHoursMonthsAndTheirSum) {
  const auto told = preview_with({});
  EXPECT_EQ(told.code, 0);
  EXPECT_EQ(told.output, R"({"currency":"USD","hours":[)"
                         R"({"hour":"2026-01-01T00:00:00Z","seconds":3600,"amountMicros":6849},)"
                         R"({"hour":"2026-01-01T01:00:00Z","seconds":3600,"amountMicros":6850}],)"
                         R"("months":[{"month":"2026-01","seconds":7200,"amountMicros":13699}],)"
                         R"("totalMicros":13699})"
                         "\n");
}

TEST_F(BillingPreview, TakesTimesInAnyOrderAsOneWhereTheyOverlapOrTouch) {
  const auto told = preview_with({"--active", "2026-01-01T02:00:00+01:00/2026-01-01T03:00:00+01:00",
                                  "--active", "2025-12-31T23:59:59z/2026-01-01t00:00:00z", "--active",
                                  "2026-01-01T07:00:00Z/2026-01-01T07:00:00Z"});
  EXPECT_THAT(told.output, HasSubstr(R"("months":[{"month":"2025-12","seconds":1,"amountMicros":2},)"
                                     R"({"month":"2026-01","seconds":7200,"amountMicros":13699}])"));
}

TEST_F(BillingPreview, CountsHoursInFullWhereThePlanDoes) {
  EXPECT_THAT(preview({"--price", "7.3", "--currency", "EUR", "--granularity", "hour", "--active",
                       "2026-01-01T00:59:59Z/2026-01-01T01:00:01Z"})
                .output,
              HasSubstr(R"("months":[{"month":"2026-01","seconds":7200,"amountMicros":20000}])"));
  EXPECT_THAT(preview({"--price", "1", "--currency", "EUR", "--hours-per-month", "1", "--active",
                       "2026-01-01T00:00:00Z/2026-01-02T00:00:00Z"})
                .output,
              HasSubstr(R"("totalMicros":1000000)"));
}

TEST_F(BillingPreview, RefusesEveryBadArgumentWithItsReason) {
  const std::map<std::vector<std::string>, std::string> refused{
    {{"--active", "2026-01-01T00:00:00Z"}, "--active: is not START/END"},
    {{"--active", "2026-01-02T00:00:00Z/2026-01-01T00:00:00Z"}, "--active: its end is before its start"},
    {{"--active", "2026-01-01T00:00:00.0Z/2026-01-01T00:00:00Z"}, "--active: "},
    {{"--active", "2026-01-01T00:00:60Z/2026-01-01T01:00:00Z"}, "--active: "},
    {{"--active", "2026-01-01T00:00:00/2026-01-01T01:00:00"}, "--active: "},
    {{"--active", "2001-01-01T00:00:00Z/2026-01-01T00:00:00Z"},
     "--active: is longer than 100000 hours together"},
    {{"--hours-per-month", "0"}, "--hours-per-month: is not a number from 1 to 8784"},
    {{"--hours-per-month", "8785"}, "--hours-per-month: "},
    {{"--hours-per-month", "+730"}, "--hours-per-month: "},
    {{"--granularity", "minute"}, "--granularity: is neither second nor hour"},
    {{"--granularity", "Second"}, "--granularity: "},
    {{"--price", "6"}, "--price: "},
    {{"--vat", "19"}, "there is no option \"--vat\""},
    {{"more"}, "nothing was expected where \"more\" stands"}};
  for (const auto& [arguments, reason] : refused) {
    const auto told = preview_with(arguments);
    EXPECT_EQ(told.code, 2) << reason;
    EXPECT_THAT(told.output, IsEmpty()) << reason;
    EXPECT_THAT(told.errors, StartsWith("skyengine billing preview: " + reason));
  }
  for (const auto* price : {"", "-5", "5.", ".5", "5,00", "5e3", "5.0000001", "9223372036854.775808", "٥"})
    EXPECT_EQ(preview({"--price", price, "--currency", "USD", "--active",
                       "2026-01-01T00:00:00Z/2026-01-01T02:00:00Z"})
                .code,
              2)
      << price;
  EXPECT_THAT(preview({"--price", "9223372036854.775807", "--currency", "USD", "--active",
                       "2026-01-01T00:00:00Z/2026-03-01T00:00:00Z"})
                .errors,
              HasSubstr("--price: the total is beyond what can be counted"));
  for (const auto* currency : {"", "usd", "US", "XYZ"})
    EXPECT_EQ(preview({"--price", "5", "--currency", currency, "--active",
                       "2026-01-01T00:00:00Z/2026-01-01T02:00:00Z"})
                .code,
              2)
      << currency;
  EXPECT_THAT(preview({"--price", "5", "--currency", "USD"}).errors, HasSubstr("--active is required"));
}

class CatalogueApply : public CommandLine {
protected:
  /// What `catalogue apply` says of a file with this text, which is not taken.
  std::string refusal(const std::string& text) const {
    std::ofstream{file_} << text;
    const auto told = run({"catalogue", "apply", file_, "--data-dir", (folder_.path() / "data").string()});
    EXPECT_EQ(told.code, 1);
    EXPECT_THAT(told.output, IsEmpty());
    EXPECT_FALSE(std::filesystem::exists(folder_.path() / "data"));
    return told.errors;
  }

  const test::temporary_folder folder_;
  const std::string file_ = (folder_.path() / "sold.toml").string();
};

TEST_F(CatalogueApply, TellsEveryMistakeOnceWithItsLine) {
  EXPECT_EQ(refusal(R"([plans.small]
name = ""
price = 5
currency = "usd"
[plans.Big]
name = "Big"
price = "1.0000001"
currency = "USD"
virtfusion_package_id = 0
hours_per_month = 4294967297
basis = "power"
os_template_ids = [
  1, "x",
  0]
color = "red"
[regions]
north = 3
[regions.south]
name = 5
active = 1
[offers]
)"),
            "skyengine: " + file_ +
              " has 17 mistakes:\n"
              "  line 1: plans.small.virtfusion_package_id is missing\n"
              "  line 2: plans.small.name is empty\n"
              "  line 3: plans.small.price is not a string\n"
              "  line 4: plans.small.currency is none: a currency is an upper-case ISO 4217 code, as in USD\n"
              "  line 5: plans.Big is no id: an id is 1 to 64 lower-case letters, digits and hyphens\n"
              "  line 7: plans.Big.price is no amount: an amount has at most six decimals\n"
              "  line 9: plans.Big.virtfusion_package_id is not at least 1\n"
              "  line 10: plans.Big.hours_per_month is not from 1 to 8784\n"
              "  line 11: plans.Big.basis is neither allocated nor uptime\n"
              "  line 13: plans.Big.os_template_ids[1] is not an id\n"
              "  line 14: plans.Big.os_template_ids[2] is not an id\n"
              "  line 15: plans.Big.color is not known\n"
              "  line 17: regions.north is not a table\n"
              "  line 18: regions.south.virtfusion_hypervisor_group_id is missing\n"
              "  line 19: regions.south.name is not a string\n"
              "  line 20: regions.south.active is not true or false\n"
              "  line 21: offers is not known: there are [plans.<id>] and [regions.<id>] alone\n");
}

TEST_F(CatalogueApply, RefusesWhatHoldsNoTables) {
  EXPECT_THAT(refusal("plans = 3\n"), HasSubstr("has a mistake:\n  line 1: plans is not a table"));
  EXPECT_THAT(refusal("a = 1\nx =\n"), HasSubstr(" is not TOML: line 2: "));
  const auto missing = run({"catalogue", "apply", "/no/such/file"});
  EXPECT_EQ(missing.code, 1);
  EXPECT_EQ(missing.errors, "skyengine: /no/such/file cannot be read: No such file or directory\n");
  EXPECT_THAT(run({"catalogue", "apply", folder_.path().string()}).errors, HasSubstr("Is a directory"));
}

TEST_F(CommandLine, AKeyOrCatalogueForAnotherDatabaseThanWasMeantIsTold) {
  const test::temporary_folder folder;
  const auto place = folder.path().string();
  const auto file = (folder.path() / "catalogue.toml").string();
  std::ofstream{file} << "[regions.north]\nname = \"North\"\nvirtfusion_hypervisor_group_id = 1\n";
  const auto first = run({"apikey", "create", "--operator", "--data-dir", place});
  EXPECT_EQ(first.code, 0) << first.errors;
  EXPECT_THAT(first.errors, HasSubstr("skyengine: a new private PostgreSQL was made in " + place + "\n"));
  EXPECT_EQ(std::count(first.output.begin(), first.output.end(), '\n'), 1);
  const auto second = run({"catalogue", "apply", file, "--data-dir", place});
  EXPECT_EQ(second.code, 0) << second.errors;
  EXPECT_THAT(second.errors, Not(HasSubstr("skyengine: ")));

  const test::test_database demos;
  test::run_sql(demos.url(), "INSERT INTO engine_panel (is_demo) VALUES (true)");
  const std::map<std::string, std::string> at_demo{{"DATABASE_URL", demos.url()}};
  for (const auto& told :
       {run({"apikey", "create", "--operator"}, at_demo), run({"catalogue", "apply", file}, at_demo)}) {
    EXPECT_EQ(told.code, 0);
    EXPECT_THAT(told.errors, HasSubstr("skyengine: this is the demo's database ("));
  }
  EXPECT_THAT(run({"check"}, at_demo).output, HasSubstr(" (the demo's: serve refuses it)\n"));
}

TEST_F(CommandLine, ACatalogueIsAppliedAsAWholeOrNotAtAll) {
  const test::temporary_folder folder;
  const test::test_database store;
  const auto file = (folder.path() / "catalogue.toml").string();
  const auto apply = [&](const std::string& large, const std::string& currency) {
    const auto plan = [](const std::string& id, const std::string& price, const std::string& in) {
      return "[plans." + id + "]\nname = \"" + id + "\"\nprice = \"" + price + "\"\ncurrency = \"" + in +
             "\"\nvirtfusion_package_id = 1\n";
    };
    std::ofstream{file} << plan("large", large, "USD") << plan("small", "5.00", currency);
    return run({"catalogue", "apply", file}, {{"DATABASE_URL", store.url()}});
  };
  const auto first = apply("40.00", "USD");
  EXPECT_EQ(first.code, 0) << first.errors;
  EXPECT_EQ(first.output, "created   plan large\ncreated   plan small\n");
  const auto refused = apply("50.00", "EUR");
  EXPECT_EQ(refused.code, 1);
  EXPECT_EQ(refused.output, "");
  EXPECT_THAT(refused.errors,
              HasSubstr("plan small: the currency of a plan never changes: make another plan; "
                        "nothing was changed\n"));
  EXPECT_EQ(test::run_sql(store.url(), "SELECT count(*) || ' ' || max(price_micros) FROM plan_prices WHERE "
                                       "plan_id = 'large'"),
            "1 40000000");
}

TEST_F(CommandLine, AdoptNamesTheSettingThatItLacks) {
  const auto told = run({"adopt", "--dry-run"}, {{"DATABASE_URL", "postgresql://127.0.0.1:1/nowhere"}});
  EXPECT_EQ(told.code, 1);
  EXPECT_EQ(told.errors, "skyengine: virtfusion.api_url is not set (VIRTFUSION_API_URL)\n");
}

TEST_F(CommandLine, AuditRefusesADatabaseOfAnotherVersionAndLeavesItSo) {
  const test::test_database store{{}};
  test::run_sql(store.url(), "DROP TABLE schema_migrations");
  const auto told = run({"audit"}, {{"DATABASE_URL", store.url()}});
  EXPECT_EQ(told.code, 1);
  EXPECT_EQ(told.errors,
            "skyengine: the database is not at this program's version: run `skyengine migrate`\n");
  EXPECT_EQ(test::run_sql(store.url(), "SELECT count(*) FROM pg_tables WHERE schemaname = 'public'"), "0");
  EXPECT_EQ(run({"migrate"}, {{"DATABASE_URL", store.url()}}).code, 0);
  EXPECT_EQ(run({"audit"}, {{"DATABASE_URL", store.url()}}).code, 0);
}

TEST(Serve, TellsWhatIsBuilt) {
  const test::temporary_folder folder;
  const test::simulated_panel panel;
  test::engine_process engine{panel, {folder.path()}};
  engine.start();
  auto version = engine.run({"--version"}).output;
  ASSERT_TRUE(version.ends_with('\n'));
  version.pop_back();
  EXPECT_EQ(engine.call("GET", "/healthz", "").json().at("version").as_string(), version);
  const auto metrics = engine.call("GET", "/metrics", "", {}, {{"Accept", "*/*"}}).body;
  const auto at = metrics.find("skyengine_build_info{");
  ASSERT_NE(at, std::string::npos);
  EXPECT_THAT(metrics.substr(at, metrics.find('\n', at) - at),
              testing::MatchesRegex("skyengine_build_info\\{version=\"" + version +
                                    "\",commit=\"([0-9a-f]{12}|unknown)\"\\} 1"));
  EXPECT_EQ(engine.terminate(), 0);
}

TEST(Serve, WarnsOfAClockRateThatTheDatabaseDoesNotHave) {
  const test::temporary_folder folder;
  const test::simulated_panel panel;
  test::engine_options how{folder.path()};
  const auto warning = HasSubstr("clock.rate does not hold");
  {
    test::engine_process first{panel, how};
    first.start();
    EXPECT_EQ(first.terminate(), 0);
    EXPECT_THAT(first.log(), Not(warning));
  }
  how.environment["SKYENGINE_CLOCK_RATE"] = "60";
  test::engine_process second{panel, how};
  second.start();
  EXPECT_EQ(second.call("GET", "/healthz", "").json().as_object().contains("businessTime"), false);
  EXPECT_EQ(second.terminate(), 0);
  EXPECT_THAT(second.log(), AllOf(warning, HasSubstr(R"("clock_rate":60,"stored_rate":1)")));
}

} // namespace
} // namespace skyengine
