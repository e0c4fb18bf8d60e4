# Writes OUTPUT, a source that holds the file INPUT.
file(READ ${INPUT} text HEX)
string(REGEX REPLACE "([0-9a-f][0-9a-f])" "\\\\x\\1" text "${text}")
string(CONFIGURE [[
#include "net/api/documents.hpp"

#pragma clang diagnostic ignored "-Woverlength-strings"

namespace skyengine::net::api {

std::string_view openapi_yaml() noexcept {
  return "@text@";
}

} // namespace skyengine::net::api
]] source @ONLY)
file(WRITE ${OUTPUT} "${source}")
