# gantry_room(NAME SOURCES ... USES ... LIBRARIES ...): one static library per room (or part of one).
# USES names the rooms it may include; LIBRARIES are outside dependencies that only its .cc files see.
function(gantry_room name)
  cmake_parse_arguments(ROOM "" "" "SOURCES;USES;LIBRARIES" ${ARGN})
  add_library(gantry_${name} STATIC ${ROOM_SOURCES})
  target_include_directories(gantry_${name} PUBLIC ${CMAKE_SOURCE_DIR}/src)
  list(TRANSFORM ROOM_USES PREPEND gantry_)
  target_link_libraries(gantry_${name} PUBLIC ${ROOM_USES} PRIVATE ${ROOM_LIBRARIES})
  if(NOT name STREQUAL "base")
    gantry_precompile(gantry_${name})
  endif()
endfunction()

# gantry_test(NAME SOURCES ... USES ... LIBRARIES ... [LABELS ...] [TIMEOUT seconds]): one GoogleTest program,
# one ctest entry. Label `root` marks tests that need root and kernel features, `slow` those over ten seconds.
function(gantry_test name)
  cmake_parse_arguments(TEST "" "TIMEOUT" "SOURCES;USES;LIBRARIES;LABELS" ${ARGN})
  add_executable(${name} ${TEST_SOURCES})
  target_include_directories(${name} PRIVATE ${CMAKE_SOURCE_DIR}/src)
  list(TRANSFORM TEST_USES PREPEND gantry_)
  target_link_libraries(${name} PRIVATE ${TEST_USES} ${TEST_LIBRARIES} GTest::gmock GTest::gtest GTest::gtest_main
                                        Threads::Threads)
  gantry_precompile(${name})
  if(NOT TEST_TIMEOUT)
    set(TEST_TIMEOUT 120)
  endif()
  add_test(NAME ${name} COMMAND ${name} WORKING_DIRECTORY ${CMAKE_SOURCE_DIR})
  set_tests_properties(${name} PROPERTIES LABELS "${TEST_LABELS}" TIMEOUT ${TEST_TIMEOUT})
endfunction()

# What nearly every file includes, precompiled once. Generated code does not use it, so that it stays cacheable.
option(GANTRY_PCH "Precompile the common headers" ON)
function(gantry_precompile target)
  if(GANTRY_PCH AND TARGET gantry_pch)
    target_precompile_headers(${target} REUSE_FROM gantry_pch)
  endif()
endfunction()

# gantry_fuzz(NAME SOURCES ... USES ... LIBRARIES ...): one libFuzzer program, fuzz_NAME.
function(gantry_fuzz name)
  cmake_parse_arguments(FUZZ "" "" "SOURCES;USES;LIBRARIES" ${ARGN})
  add_executable(fuzz_${name} ${FUZZ_SOURCES})
  target_include_directories(fuzz_${name} PRIVATE ${CMAKE_SOURCE_DIR}/src)
  list(TRANSFORM FUZZ_USES PREPEND gantry_)
  target_link_libraries(fuzz_${name} PRIVATE ${FUZZ_USES} ${FUZZ_LIBRARIES})
  target_link_options(fuzz_${name} PRIVATE -fsanitize=fuzzer)
endfunction()
