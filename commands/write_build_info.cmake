# cmake -DSOURCE_DIR=… -DVERSION=… -DOUTPUT=… -P write_build_info.cmake: writes the source that knows what is built.
# A folder within somebody else's repository is no checkout of ours.
execute_process(COMMAND git rev-parse --show-prefix WORKING_DIRECTORY ${SOURCE_DIR}
                OUTPUT_VARIABLE prefix OUTPUT_STRIP_TRAILING_WHITESPACE ERROR_QUIET RESULT_VARIABLE is_outside)
execute_process(COMMAND git rev-parse --short=12 HEAD WORKING_DIRECTORY ${SOURCE_DIR}
                OUTPUT_VARIABLE commit OUTPUT_STRIP_TRAILING_WHITESPACE ERROR_QUIET RESULT_VARIABLE failed)
if(is_outside OR failed OR NOT prefix STREQUAL "")
  set(commit unknown)
endif()
file(CONFIGURE OUTPUT ${OUTPUT} @ONLY CONTENT [[#include "commands/build_info.hpp"

namespace skyengine::commands {

std::string_view program_version() noexcept {
  return "@VERSION@";
}

std::string_view program_commit() noexcept {
  return "@commit@";
}

} // namespace skyengine::commands
]])
