#include "tests/support/engine_process.hpp"
#include "tests/support/postgres.hpp"
#include "tests/support/temporary_folder.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <map>
#include <string>

namespace skyengine {
namespace {

using testing::EndsWith;
using testing::HasSubstr;

class Check : public testing::Test {
protected:
  const test::temporary_folder folder_;
  const test::simulated_panel panel_;
  const test::engine_process engine_{panel_, test::engine_options{folder_.path()}};

  test::command_result check_with(const std::map<std::string, std::string>& settings) const {
    test::engine_options how{folder_.path()};
    how.environment = settings;
    return test::engine_process{panel_, how}.run({"check"});
  }
};

TEST_F(Check, AnswersZeroWhereAllIsReached) {
  const auto told = engine_.run({"check"});
  EXPECT_EQ(told.code, 0) << told.output;
}

TEST_F(Check, NamesTheFamilyThatTheTokenLacks) {
  panel_.add_fault({{"operation", "GET /media/templates/fromServerPackageSpec/{serverPackageId}"},
                    {"kind", "status"},
                    {"status", 403}});
  const auto told = engine_.run({"check"});
  EXPECT_EQ(told.code, 1);
  EXPECT_THAT(told.output, HasSubstr("FAIL VirtFusion templates: forbidden (403)"));
}

TEST_F(Check, TellsOfAWrongTokenOnce) {
  const auto told = check_with({{"VIRTFUSION_API_TOKEN", "another"}});
  EXPECT_EQ(told.code, 1);
  EXPECT_THAT(told.output,
              EndsWith("FAIL VirtFusion connect: unauthorized (401): 401 Unauthorized\n"
                       "--   VirtFusion: not tried: packages, templates, hypervisor groups, servers, users, "
                       "SSH keys\n"));
}

TEST_F(Check, TellsOfAnAddressWithoutVirtfusion) {
  const auto& url = panel_.url();
  const auto told = check_with({{"VIRTFUSION_API_URL", url.substr(0, url.find("/api")) + "/api/v2"}});
  EXPECT_EQ(told.code, 1);
  EXPECT_THAT(told.output, HasSubstr("FAIL VirtFusion connect: no VirtFusion answers there (404)"));
  EXPECT_THAT(told.output, HasSubstr("--   VirtFusion: not tried: packages"));
}

TEST_F(Check, NamesTheCertificateThatCannotBeRead) {
  const auto authority = check_with({{"SKYENGINE_VIRTFUSION_CA_FILE", "/nowhere"}});
  EXPECT_EQ(authority.code, 1);
  EXPECT_THAT(authority.output,
              HasSubstr("FAIL VirtFusion: virtfusion.ca_file: no certificate in /nowhere: "));
  const auto own = check_with({{"SKYENGINE_TLS_CERT", "/nowhere"}, {"SKYENGINE_TLS_KEY", "/nowhere"}});
  EXPECT_EQ(own.code, 1);
  EXPECT_THAT(own.output, HasSubstr("FAIL http: no certificate in /nowhere: "));
}

TEST_F(Check, TellsOfADataFolderThatCannotBeWritten) {
  // Whoever runs this, even root, makes nothing below a file.
  const auto file = folder_.path() / "file";
  std::ofstream{file} << "text";
  for (const auto& where : {file, file / "data", std::filesystem::path{"/proc/nowhere"}}) {
    test::engine_options how{where};
    how.log_file = (folder_.path() / "log").string();
    const auto told = test::engine_process{panel_, how}.run({"check"});
    EXPECT_EQ(told.code, 1);
    EXPECT_THAT(told.output, HasSubstr("FAIL data folder: cannot write to " + where.string() + ": "));
    EXPECT_THAT(told.output, HasSubstr("--   database: not tried\n"));
  }
  // Nothing is left of the look.
  const auto there = folder_.path() / "there";
  std::filesystem::create_directory(there);
  test::engine_options how{there / "data"};
  how.log_file = (folder_.path() / "log").string();
  EXPECT_EQ(test::engine_process(panel_, how).run({"check"}).code, 0);
  EXPECT_TRUE(std::filesystem::is_empty(there));
}

TEST_F(Check, TellsOfADatabaseUserWithoutRights) {
  const test::test_database store{{}};
  const auto role = store.name() + "_guest";
  test::run_sql(store.url(), "CREATE ROLE " + role + " LOGIN");
  const auto told = check_with({{"DATABASE_URL", store.url() + "?user=" + role}});
  EXPECT_EQ(told.code, 1);
  EXPECT_THAT(told.output, HasSubstr("FAIL database: the user " + role + " may not make tables"));
}

// An order is kept until VirtFusion is there.
TEST_F(Check, AnEngineAtAnAddressWithoutVirtfusionIsDegraded) {
  test::engine_options how{folder_.path()};
  const auto& url = panel_.url();
  how.environment = {{"VIRTFUSION_API_URL", url.substr(0, url.find("/api")) + "/nowhere"}};
  test::engine_process engine{panel_, how};
  engine.start();
  std::string told;
  EXPECT_TRUE(engine.eventually([&] {
    told = engine.call("GET", "/readyz", {}, {}).body;
    return told.find("no VirtFusion answers at") != std::string::npos;
  }));
  EXPECT_THAT(told, HasSubstr("no VirtFusion answers at virtfusion.api_url (404)"));
  EXPECT_THAT(engine.log(), HasSubstr("virtfusion_down"));
}

} // namespace
} // namespace skyengine
