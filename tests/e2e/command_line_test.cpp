#include "tests/support/engine_process.hpp"
#include "tests/support/process.hpp"
#include "tests/support/temporary_folder.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>
#include <map>
#include <string>
#include <vector>

namespace skyengine {
namespace {

using testing::AllOf;
using testing::HasSubstr;
using testing::IsEmpty;

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

} // namespace
} // namespace skyengine
