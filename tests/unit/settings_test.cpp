#include "config/loader.hpp"
#include "config/setting_report.hpp"
#include "config/setting_sources.hpp"
#include "config/setting_table.hpp"
#include "tests/support/temporary_folder.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <algorithm>
#include <chrono>
#include <fstream>
#include <map>
#include <set>
#include <sstream>
#include <string>

namespace skyengine::config {
namespace {

using namespace std::chrono_literals;
using testing::Contains;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Not;
using testing::StartsWith;

class Settings : public testing::Test {
protected:
  Settings() { input.working_directory = folder.path().string(); }

  loaded_settings loaded() {
    auto outcome = load(input);
    EXPECT_TRUE(outcome) << outcome.error().detail;
    return outcome ? *outcome : loaded_settings{};
  }

  /// The reason by key of every mistake.
  std::map<std::string, std::string> mistakes() {
    std::map<std::string, std::string> reasons;
    const auto outcome = load(input);
    EXPECT_FALSE(outcome);
    if (outcome)
      return reasons;
    EXPECT_EQ(outcome.error().code, errc::invalid_request);
    for (const auto& [field, reason] : outcome.error().fields) {
      EXPECT_TRUE(reasons.emplace(field, reason).second) << field << " is named twice";
      auto named = field;
      named.append(": ").append(reason);
      EXPECT_THAT(outcome.error().detail, HasSubstr(named));
    }
    return reasons;
  }

  /// Writes a file in the working folder and answers its path.
  std::string write(const std::string& name, const std::string& text) const {
    const auto file = folder.path() / name;
    std::ofstream{file, std::ios::binary} << text;
    return file.string();
  }

  static shown_setting shown(const loaded_settings& all, const std::string& name) {
    const auto found = std::find_if(all.shown.begin(), all.shown.end(),
                                    [&](const shown_setting& row) { return row.name == name; });
    return found == all.shown.end() ? shown_setting{} : *found;
  }

  test::temporary_folder folder;
  load_input input;
};

TEST_F(Settings, WithoutAnyTheDefaultsHold) {
  const auto all = loaded();
  EXPECT_EQ(all.values.virtfusion.api_url, "");
  EXPECT_TRUE(all.values.virtfusion.ssl_verify);
  EXPECT_EQ(all.values.virtfusion.max_in_flight, 16U);
  EXPECT_EQ(all.values.virtfusion.rate, 0U);
  EXPECT_EQ(all.values.http.listen, (listen_address{"127.0.0.1", 8080}));
  EXPECT_EQ(all.values.http.patience, 10s);
  EXPECT_EQ(all.values.http.key_rate, 100U);
  EXPECT_EQ(all.values.http.key_burst, 200U);
  EXPECT_EQ(all.values.http.connections_per_address, 512U);
  EXPECT_EQ(all.values.http.max_connections, 1024U);
  EXPECT_EQ(all.values.http.max_header, 16'384U);
  EXPECT_EQ(all.values.http.max_body, 262'144U);
  EXPECT_EQ(all.values.http.header_timeout, 10s);
  EXPECT_EQ(all.values.http.body_timeout, 30s);
  EXPECT_EQ(all.values.http.idle_timeout, 60s);
  EXPECT_EQ(all.values.provisioning.max_open, 256U);
  EXPECT_EQ(all.values.provisioning.max_wait, 60s);
  EXPECT_EQ(all.values.provisioning.settle, 30s);
  EXPECT_EQ(all.values.idempotency.keep, 24h);
  EXPECT_EQ(all.values.log.format, log_format::json);
  EXPECT_EQ(all.values.log.level, log::level::info);
  EXPECT_EQ(all.values.node.name, "");
  EXPECT_EQ(all.values.clock.rate, 1U);
  EXPECT_EQ(all.values.shutdown_grace, 10s);
  EXPECT_THAT(all.warnings, IsEmpty());
  EXPECT_THAT(all.secrets, IsEmpty());
  EXPECT_EQ(all.shown.size(), setting_table().size());
}

TEST_F(Settings, TheEnvironmentWinsOverDotenvOverTheFile) {
  write("sky.toml", "[http]\npatience = \"1s\"\nkey_rate = 1\nkey_burst = 1\n");
  write(".env",
        "SKYENGINE_HTTP_KEY_RATE=2\nSKYENGINE_HTTP_KEY_BURST=2\nSKYENGINE_CONFIG=sky.toml\nOTHER=x\n");
  input.environment = {{"SKYENGINE_HTTP_KEY_BURST", "3"}, {"PATH", "/bin"}};
  const auto all = loaded();
  EXPECT_EQ(all.values.http.patience, 1s);
  EXPECT_EQ(all.values.http.key_rate, 2U);
  EXPECT_EQ(all.values.http.key_burst, 3U);
  EXPECT_EQ(shown(all, "http.patience").origin, "line 2 of sky.toml");
  EXPECT_EQ(shown(all, "http.key_rate").origin, "SKYENGINE_HTTP_KEY_RATE in line 1 of .env");
  EXPECT_EQ(shown(all, "http.key_burst").origin, "SKYENGINE_HTTP_KEY_BURST in the environment");
  EXPECT_EQ(shown(all, "http.max_body").origin, "default");
}

TEST_F(Settings, TheOptionWinsOverTheVariableThatNamesTheFile) {
  const auto file = write("a.toml", "[http]\nkey_rate = 1\n");
  input.environment = {{"SKYENGINE_CONFIG", write("b.toml", "[http]\nkey_rate = 2\n")}};
  EXPECT_EQ(loaded().values.http.key_rate, 2U);
  input.config_file = file;
  EXPECT_EQ(loaded().values.http.key_rate, 1U);
}

TEST_F(Settings, EachHasItsOwnNameAndMayHaveAWellKnownOne) {
  input.environment = {
    {"SKYENGINE_LISTEN", "0.0.0.0:1"}, {"SKYENGINE_LOG_FORMAT", "pretty"}, {"SKYENGINE_NODE", "b"},
    {"SKYENGINE_SHUTDOWN_GRACE", "0"}, {"DATABASE_URL", "postgres://h/d"}, {"SKYENGINE_CLOCK_RATE", "3600"}};
  const auto all = loaded();
  EXPECT_EQ(all.values.http.listen, (listen_address{"0.0.0.0", 1}));
  EXPECT_EQ(all.values.log.format, log_format::pretty);
  EXPECT_EQ(all.values.node.name, "b");
  EXPECT_EQ(all.values.shutdown_grace, 0s);
  EXPECT_EQ(all.values.database.url, "postgres://h/d");
  EXPECT_EQ(all.values.clock.rate, 3'600U);
}

TEST_F(Settings, TwoNamesOfOneSettingMayNotDiffer) {
  input.environment = {{"SKYENGINE_LISTEN", "h:1"}, {"SKYENGINE_HTTP_LISTEN", "h:1"}};
  EXPECT_EQ(loaded().values.http.listen.port, 1);
  input.environment["SKYENGINE_HTTP_LISTEN"] = "h:2";
  EXPECT_THAT(mistakes()["http.listen"], HasSubstr("SKYENGINE_HTTP_LISTEN and SKYENGINE_LISTEN"));
}

TEST_F(Settings, AVariableSetToNothingIsNotSet) {
  write(".env", "SKYENGINE_HTTP_KEY_RATE=7\nVIRTFUSION_API_URL=\n");
  input.environment = {{"SKYENGINE_HTTP_KEY_RATE", ""}, {"SKYENGINE_CONFIG", ""}};
  EXPECT_EQ(loaded().values.http.key_rate, 7U);
}

TEST_F(Settings, EveryMistakeIsNamedAtOnceWithValueOriginAndWhatIsAllowed) {
  input.config_file = write("sky.toml", "[http]\npatiense = \"1s\"\nidle_timeout = \"1d\"\n");
  write(".env", "SKYENGINE_HTTP_KEY_BURST=0\nthis is no line\nSKYENGINE_HPPT_LISTEN=x\n");
  input.environment = {
    {"SKYENGINE_LOG", "xml\x1b[31m"}, {"SKYENGINE_TEST_SEED", "1"}, {"SKYENGINE_SPEED", "hush"}};
  const auto found = mistakes();
  EXPECT_EQ(found.size(), 7U);
  EXPECT_EQ(found.at("http.patiense"), "there is no such setting (line 2 of " + *input.config_file + ")");
  EXPECT_EQ(found.at("http.idle_timeout"),
            "\"1d\" (line 3 of " + *input.config_file +
              ") is not allowed: it is a duration of 100ms to 1h, as in 500ms, 90s, "
              "10m, 1h");
  EXPECT_EQ(found.at("http.key_burst"),
            "\"0\" (SKYENGINE_HTTP_KEY_BURST in line 1 of .env) is not allowed: it is a "
            "whole number of 1 to 1000000");
  EXPECT_EQ(found.at(".env"), "line 2 is not KEY=value");
  EXPECT_EQ(found.at("SKYENGINE_HPPT_LISTEN"), "there is no such setting (line 3 of .env)");
  EXPECT_EQ(found.at("SKYENGINE_SPEED"), "there is no such setting (the environment)");
  EXPECT_EQ(found.at("log.format"),
            "\"xml?[31m\" (SKYENGINE_LOG in the environment) is not allowed: it is one of json, pretty");
}

TEST_F(Settings, ALongWrongValueIsCut) {
  input.environment = {{"SKYENGINE_LOG", std::string(100'000, 'x')}};
  EXPECT_LT(mistakes()["log.format"].size(), 300U);
}

TEST_F(Settings, CrashPointsAreNamedOnlyWhereTheyAreBuilt) {
  input.environment = {{"SKYENGINE_CRASH_AT", "create.sent"}};
#ifdef SKYENGINE_CRASH_POINTS
  loaded();
#else
  EXPECT_THAT(mistakes()["SKYENGINE_CRASH_AT"], HasSubstr("no such setting"));
#endif
}

TEST_F(Settings, AFileThatIsNotThereIsAMistake) {
  input.config_file = "missing.toml";
  EXPECT_THAT(mistakes()["missing.toml"], HasSubstr("No such file"));
  input.config_file = folder.path().string();
  EXPECT_THAT(mistakes()[*input.config_file], HasSubstr("directory"));
  input.config_file = write("large.toml", std::string(1'048'577, '\n'));
  EXPECT_THAT(mistakes()[*input.config_file], HasSubstr("larger than 1 MiB"));
}

TEST_F(Settings, VirtfusionTakesBothAddressAndToken) {
  input.environment = {{"VIRTFUSION_API_URL", "https://panel.example.com"}};
  EXPECT_THAT(mistakes()["virtfusion.api_token"], HasSubstr("together"));
  input.environment = {{"VIRTFUSION_API_TOKEN", "hush-token"}};
  EXPECT_THAT(mistakes()["virtfusion.api_url"], HasSubstr("together"));
  input.environment["VIRTFUSION_API_URL"] = "https://panel.example.com";
  const auto all = loaded();
  EXPECT_EQ(all.values.virtfusion.api_url, "https://panel.example.com/api/v1");
  EXPECT_EQ(all.values.virtfusion.api_token, "hush-token");
  EXPECT_EQ(shown(all, "virtfusion.api_url").value, "\"https://panel.example.com/api/v1\"");
  EXPECT_THAT(all.warnings, IsEmpty());
}

TEST_F(Settings, AWrongAddressOfVirtfusionIsOneMistake) {
  input.environment = {{"VIRTFUSION_API_URL", "panel"}, {"VIRTFUSION_API_TOKEN", "t"}};
  EXPECT_EQ(mistakes().size(), 1U);
}

TEST_F(Settings, APasswordInARefusedUrlIsNotShown) {
  input.environment = {{"VIRTFUSION_API_URL", "https://admin:hush@h"}, {"VIRTFUSION_API_TOKEN", "t"}};
  EXPECT_THAT(mistakes()["virtfusion.api_url"], AllOf(HasSubstr("its value"), Not(HasSubstr("hush"))));
}

TEST_F(Settings, AWrongConnectionStringIsNamedWithTheOthersAndNotShown) {
  for (const auto* url :
       {"postgresql://sky:hu%sh@db/sky", "host=db password=some hush user=sky", "host=db password='hush",
        "host=db password=a hush=b", "postgresql://sky:hush@[::1/sky", "postgresql://sky:a@hush@db/sky",
        "postgresql://sky:hush@db:99999/sky", "postgresql://sky:hush@db/sky?pasword=hush"}) {
    input.environment = {{"DATABASE_URL", url}, {"SKYENGINE_LOG", "xml"}};
    const auto found = mistakes();
    EXPECT_EQ(found.size(), 2U) << url;
    EXPECT_TRUE(found.contains("log.format")) << url;
    ASSERT_TRUE(found.contains("database.url")) << url;
    EXPECT_THAT(found.at("database.url"),
                AllOf(StartsWith("its value (DATABASE_URL in the environment) is not allowed: "),
                      Not(HasSubstr("hush")), Not(HasSubstr("hu%sh"))));
  }
}

TEST_F(Settings, CertificateAndKeyGoTogether) {
  input.environment = {{"SKYENGINE_TLS_CERT", "/c.pem"}};
  EXPECT_THAT(mistakes()["http.tls_key"], HasSubstr("together"));
  input.environment = {{"SKYENGINE_TLS_KEY", "/k.pem"}};
  EXPECT_THAT(mistakes()["http.tls_cert"], HasSubstr("together"));
}

TEST_F(Settings, PlainHttpToAnotherHostAndUnverifiedTlsWarn) {
  input.environment = {{"VIRTFUSION_API_TOKEN", "t"}};
  for (const auto* url :
       {"http://127.0.0.1:9100", "http://localhost", "http://[::1]:1", "https://panel.example.com"}) {
    input.environment["VIRTFUSION_API_URL"] = url;
    EXPECT_THAT(loaded().warnings, IsEmpty()) << url;
  }
  for (const auto* url : {"http://panel.example.com", "http://127.example.com", "http://10.0.0.1"}) {
    input.environment["VIRTFUSION_API_URL"] = url;
    EXPECT_THAT(loaded().warnings, ElementsAre(HasSubstr("not https"))) << url;
  }
  input.environment["VIRTFUSION_API_URL"] = "https://panel.example.com";
  input.environment["VIRTFUSION_SSL_VERIFY"] = "false";
  EXPECT_THAT(loaded().warnings, ElementsAre(HasSubstr("ssl_verify is false")));
}

class SecretReference : public Settings {
protected:
  SecretReference() { input.environment = {{"VIRTFUSION_API_URL", "https://h"}}; }

  std::string token(const std::string& reference) {
    input.environment["VIRTFUSION_API_TOKEN"] = reference;
    return loaded().values.virtfusion.api_token;
  }

  std::string reason(const std::string& reference) {
    input.environment["VIRTFUSION_API_TOKEN"] = reference;
    const auto found = mistakes();
    EXPECT_EQ(found.size(), 1U);
    return found.contains("virtfusion.api_token") ? found.at("virtfusion.api_token") : "";
  }
};

TEST_F(SecretReference, MayNameAVariable) {
  write(".env", "A=from-dotenv\nB=from-dotenv\n");
  input.environment["B"] = "from-environment";
  EXPECT_EQ(token("env:A"), "from-dotenv");
  EXPECT_EQ(token("env:B"), "from-environment");
  EXPECT_THAT(reason("env:C"), HasSubstr("C that env: names is not set"));
}

TEST_F(SecretReference, MayNameAFile) {
  const auto file = write("token", "hush-token\n");
  ::chmod(file.c_str(), 0600);
  EXPECT_EQ(token("file:" + file), "hush-token");
  EXPECT_THAT(loaded().warnings, IsEmpty());
  EXPECT_EQ(token("file:" + write("windows", "hush-token\r\n")), "hush-token");
  EXPECT_THAT(reason("file:" + folder.path().string() + "/none"), HasSubstr("No such file"));
  EXPECT_THAT(reason("file:token"), HasSubstr("absolute path"));
  EXPECT_THAT(reason("file:" + write("empty", "\n")), HasSubstr("is empty"));
}

TEST_F(SecretReference, AFileThatEverybodyReadsWarns) {
  const auto file = write("token", "hush-token");
  ::chmod(file.c_str(), 0644);
  EXPECT_EQ(token("file:" + file), "hush-token");
  EXPECT_THAT(loaded().warnings, ElementsAre(HasSubstr("everybody on this machine can read it")));
}

TEST_F(SecretReference, InVaultIsRefusedClearly) {
  EXPECT_THAT(reason("vault:kv/sky#token"), HasSubstr("Vault are not supported; use env:NAME or file:/path"));
}

TEST_F(SecretReference, AWrongSecretIsNotShown) {
  const auto said = reason("hush token");
  EXPECT_THAT(said, HasSubstr("its value (VIRTFUSION_API_TOKEN in the environment) is not allowed"));
  EXPECT_THAT(said, Not(HasSubstr("hush")));
}

TEST_F(SecretReference, IsNeverShownAndIsNamedForTheLog) {
  input.environment["DATABASE_URL"] = "postgresql://sky:p%40ss@db/sky?sslmode=require";
  token("hush-token");
  const auto all = loaded();
  EXPECT_THAT(all.secrets, Contains("hush-token"));
  EXPECT_THAT(all.secrets, Contains("postgresql://sky:p%40ss@db/sky?sslmode=require"));
  EXPECT_THAT(all.secrets, Contains("p%40ss"));
  EXPECT_THAT(all.secrets, Contains("p@ss"));
  const auto text = render_settings(all);
  for (const auto& secret : all.secrets)
    EXPECT_THAT(text, Not(HasSubstr(secret)));
  EXPECT_THAT(text, HasSubstr("virtfusion.api_token = \"***\"  # VIRTFUSION_API_TOKEN in the environment\n"));
}

TEST_F(SecretReference, APasswordOfAConnectionStringIsOne) {
  input.environment["DATABASE_URL"] = "host=db password='two words' dbname=x";
  token("t");
  EXPECT_THAT(loaded().secrets, Contains("two words"));
  input.environment["DATABASE_URL"] = "postgresql://db/x?user=a&password=hush&sslmode=require";
  EXPECT_THAT(loaded().secrets, Contains("hush"));
}

TEST_F(Settings, TheirReportIsATomlFileAgain) {
  input.environment = {{"SKYENGINE_NODE", "a \"b\" \\c"},
                       {"SKYENGINE_HTTP_TRUSTED_PROXIES", "10.0.0.1,::1"},
                       {"VIRTFUSION_SSL_VERIFY", "0"}};
  const auto text = render_settings(loaded());
  EXPECT_THAT(text, HasSubstr("http.patience = \"10s\"  # default\n"));
  EXPECT_THAT(text,
              HasSubstr("http.trusted_proxies = [\"10.0.0.1\", \"::1\"]  # SKYENGINE_HTTP_TRUSTED_PROXIES"));
  const auto again = read_toml(text, "again");
  EXPECT_THAT(again.mistakes, IsEmpty());
  EXPECT_EQ(again.values.size(), setting_table().size());
  EXPECT_EQ(again.values.at("node.name").text, "a \"b\" \\c");
  EXPECT_EQ(again.values.at("virtfusion.ssl_verify").text, "false");
}

TEST(SettingTable, NamesAreUniqueAndDefaultsAreAllowed) {
  std::set<std::string> names;
  for (const auto& row : setting_table()) {
    const auto variable = environment_name(row.name);
    EXPECT_TRUE(names.insert(std::string{row.name}).second) << row.name;
    EXPECT_TRUE(names.insert(variable).second) << variable;
    if (!row.alias.empty() && row.alias != variable)
      EXPECT_TRUE(names.insert(std::string{row.alias}).second) << row.alias;
    EXPECT_TRUE(parse_value(row.type, row.initial)) << row.name;
    EXPECT_TRUE(row.help.ends_with('.')) << row.name;
    EXPECT_EQ(find_setting(row.name), &row);
    EXPECT_EQ(find_setting_in_environment(variable), &row);
  }
  EXPECT_EQ(environment_name("http.key_rate"), "SKYENGINE_HTTP_KEY_RATE");
  EXPECT_EQ(find_setting(""), nullptr);
  EXPECT_EQ(find_setting_in_environment(""), nullptr);
}

TEST(SettingTable, ItsDocumentIsUpToDate) {
  std::ostringstream kept;
  kept << std::ifstream{SKYENGINE_SETTINGS_DOCUMENT}.rdbuf();
  EXPECT_EQ(kept.str(), render_markdown())
    << "write it again: skyengine settings --markdown > docs/settings.md";
}

} // namespace
} // namespace skyengine::config
