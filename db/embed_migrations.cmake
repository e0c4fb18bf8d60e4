# Writes OUTPUT, a source that holds the scripts NNNN_what.sql in order of their numbers.
set(scripts ${SCRIPTS})
list(SORT scripts)
set(count 0)
set(entries "")
foreach(script IN LISTS scripts)
  get_filename_component(name ${script} NAME_WE)
  math(EXPR count "${count} + 1")
  if(NOT name MATCHES "^([0-9][0-9][0-9][0-9])_[a-z0-9_]+$")
    message(FATAL_ERROR "${script}: a migration is called NNNN_what.sql")
  endif()
  math(EXPR version "1${CMAKE_MATCH_1} - 10000")
  if(NOT version EQUAL count)
    message(FATAL_ERROR "${script}: the migrations are numbered from 0001 on without gaps; this is number ${count}")
  endif()
  file(READ ${script} sql HEX)
  string(REGEX REPLACE "([0-9a-f][0-9a-f])" "\\\\x\\1" sql "${sql}")
  string(APPEND entries "  {${version}, \"${name}\",\n   \"${sql}\"},\n")
endforeach()
string(CONFIGURE [[
#include "db/migrations.hpp"

#include <array>

#pragma clang diagnostic ignored "-Woverlength-strings"

namespace skyengine::db {

std::span<const migration> embedded_migrations() {
  static constexpr std::array<migration, @count@> migrations{{
@entries@  }};
  return migrations;
}

} // namespace skyengine::db
]] source @ONLY)
file(WRITE ${OUTPUT} "${source}")
