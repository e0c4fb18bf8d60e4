# What every target of ours has: language level, warnings, sanitizers, the precompiled header, and ccache.

set(CMAKE_CXX_STANDARD 20)
set(CMAKE_CXX_STANDARD_REQUIRED ON)
set(CMAKE_CXX_EXTENSIONS OFF)
set(CMAKE_RUNTIME_OUTPUT_DIRECTORY ${PROJECT_BINARY_DIR})
set(CMAKE_CXX_FLAGS_DEBUG "-g1 -O0")
set(CMAKE_CXX_FLAGS_RELEASE "-O2 -DNDEBUG")

find_program(SKYENGINE_CCACHE ccache)
if(SKYENGINE_CCACHE)
  # Paths below the source folder are hashed relative, so a second clone hits what the first one built.
  set(CMAKE_CXX_COMPILER_LAUNCHER
      ${CMAKE_COMMAND} -E env CCACHE_BASEDIR=${PROJECT_SOURCE_DIR} CCACHE_NOHASHDIR=1 CCACHE_PCH_EXTSUM=1
      CCACHE_SLOPPINESS=pch_defines,time_macros,include_file_mtime,include_file_ctime ${SKYENGINE_CCACHE})
endif()

# Flags that the precompiled header and its users must share, word for word.
set(SKYENGINE_FLAGS -std=c++20 -Wall -Wextra -Wpedantic -Wconversion -Wshadow -Wnon-virtual-dtor -Werror
                    -fno-omit-frame-pointer -ffile-prefix-map=${PROJECT_SOURCE_DIR}/=)
set(SKYENGINE_DEFINITIONS BOOST_ASIO_SEPARATE_COMPILATION BOOST_BEAST_SEPARATE_COMPILATION BOOST_ASIO_NO_DEPRECATED
                          SPDLOG_COMPILED_LIB SPDLOG_FMT_EXTERNAL)
if(SKYENGINE_CRASH_POINTS)
  list(APPEND SKYENGINE_DEFINITIONS SKYENGINE_CRASH_POINTS)
endif()
if(SKYENGINE_SANITIZE)
  # CAF binds a null reference by design when it spawns a function without arguments.
  list(APPEND SKYENGINE_FLAGS -fsanitize=${SKYENGINE_SANITIZE} -fno-sanitize=null -fno-sanitize-recover=all -O1)
endif()
find_program(SKYENGINE_LLD NAMES ld.lld-16 REQUIRED)
add_link_options(-fuse-ld=lld-16)
if(SKYENGINE_SANITIZE)
  add_link_options(-fsanitize=${SKYENGINE_SANITIZE})
endif()

# One precompiled header for the project. It is made by hand and named by a path relative to the build folder,
# since CMake's own one is named by an absolute path, which makes ccache miss in every other clone. It is not taken
# from ccache, since it names its source by an absolute path, which ends with the clone that it was made in; what
# ccache knows it by is the sum of what stands in it.
set(SKYENGINE_PCH pch/skyengine.pch)
string(TOUPPER "${CMAKE_BUILD_TYPE}" build_type)
separate_arguments(build_type_flags UNIX_COMMAND "${CMAKE_CXX_FLAGS} ${CMAKE_CXX_FLAGS_${build_type}}")
list(TRANSFORM SKYENGINE_DEFINITIONS PREPEND -D OUTPUT_VARIABLE definition_flags)
file(MAKE_DIRECTORY ${PROJECT_BINARY_DIR}/pch)
# -isystem must match what the imported targets add for their users.
add_custom_command(
  OUTPUT ${SKYENGINE_PCH}
  COMMAND ${CMAKE_CXX_COMPILER} ${build_type_flags} ${SKYENGINE_FLAGS} ${definition_flags}
          -x c++-header -Xclang -fno-pch-timestamp ${PROJECT_SOURCE_DIR}/cmake/precompiled.hpp -o ${SKYENGINE_PCH}
  COMMAND ${CMAKE_CXX_COMPILER} ${build_type_flags} ${SKYENGINE_FLAGS} ${definition_flags}
          -x c++-header -E -P -dD ${PROJECT_SOURCE_DIR}/cmake/precompiled.hpp -o ${SKYENGINE_PCH}.text
  COMMAND ${CMAKE_COMMAND} -E sha256sum ${SKYENGINE_PCH}.text > ${SKYENGINE_PCH}.sum
  DEPENDS ${PROJECT_SOURCE_DIR}/cmake/precompiled.hpp
  WORKING_DIRECTORY ${PROJECT_BINARY_DIR}
  COMMENT "Precompiling cmake/precompiled.hpp"
  VERBATIM)
add_custom_target(skyengine_pch DEPENDS ${PROJECT_BINARY_DIR}/${SKYENGINE_PCH})

# Gives `target` our flags; NO_PCH for targets that must not see more than they include.
function(skyengine_target target)
  cmake_parse_arguments(arg "NO_PCH" "" "" ${ARGN})
  target_include_directories(${target} PRIVATE ${PROJECT_SOURCE_DIR})
  target_compile_options(${target} PRIVATE ${SKYENGINE_FLAGS})
  target_compile_definitions(${target} PRIVATE ${SKYENGINE_DEFINITIONS})
  if(NOT arg_NO_PCH)
    target_compile_options(${target} PRIVATE -include-pch ${SKYENGINE_PCH})
    get_target_property(sources ${target} SOURCES)
    set_source_files_properties(${sources} PROPERTIES OBJECT_DEPENDS ${PROJECT_BINARY_DIR}/${SKYENGINE_PCH})
    add_dependencies(${target} skyengine_pch)
    # Whoever sees Asio's declarations links its one compiled copy.
    target_link_libraries(${target} PRIVATE boost_asio_beast)
  endif()
endfunction()

# A target that compiles every header of ours alone: none leans on what its includer included before.
function(skyengine_add_header_check)
  file(GLOB_RECURSE headers RELATIVE ${PROJECT_SOURCE_DIR} CONFIGURE_DEPENDS
       ${PROJECT_SOURCE_DIR}/domain/*.hpp ${PROJECT_SOURCE_DIR}/config/*.hpp ${PROJECT_SOURCE_DIR}/db/*.hpp
       ${PROJECT_SOURCE_DIR}/net/*.hpp ${PROJECT_SOURCE_DIR}/actors/*.hpp ${PROJECT_SOURCE_DIR}/commands/*.hpp
       ${PROJECT_SOURCE_DIR}/tests/*.hpp ${PROJECT_SOURCE_DIR}/bench/*.hpp)
  set(sources)
  foreach(header IN LISTS headers)
    set(source ${PROJECT_BINARY_DIR}/headers/${header}.cpp)
    file(CONFIGURE OUTPUT ${source} CONTENT "#include \"${header}\"\n")
    list(APPEND sources ${source})
  endforeach()
  add_library(check_headers OBJECT EXCLUDE_FROM_ALL ${sources})
  skyengine_target(check_headers NO_PCH)
  target_link_libraries(check_headers PRIVATE CAF::core Boost::headers PostgreSQL::PostgreSQL spdlog::spdlog
                                              prometheus-cpp::core GTest::gtest yaml-cpp)
endfunction()
