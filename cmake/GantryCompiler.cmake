# Language level, warnings, sanitizers and linker: everything that holds for all targets.
set(CMAKE_CXX_STANDARD 20)
set(CMAKE_CXX_STANDARD_REQUIRED ON)
set(CMAKE_CXX_EXTENSIONS OFF)
set(CMAKE_EXPORT_COMPILE_COMMANDS ON)
set(CMAKE_PCH_INSTANTIATE_TEMPLATES ON)

option(GANTRY_FUZZ "Build the fuzz targets (Clang only)" OFF)
option(GANTRY_BENCH "Build the programs in bench/" ON)
set(GANTRY_SANITIZE "" CACHE STRING "Sanitizers to build with, as -fsanitize= takes them")

find_program(GANTRY_CCACHE ccache)
if(GANTRY_CCACHE)
  set(CMAKE_C_COMPILER_LAUNCHER ${GANTRY_CCACHE})
  set(CMAKE_CXX_COMPILER_LAUNCHER ${GANTRY_CCACHE})
endif()
find_program(GANTRY_MOLD mold)
if(GANTRY_MOLD)
  add_link_options(-fuse-ld=mold)
endif()

add_compile_options(-Wall -Wextra -Wno-unused-parameter -Wno-missing-field-initializers -fno-omit-frame-pointer)
if(CMAKE_CXX_COMPILER_ID STREQUAL "Clang")
  # Without its time stamp a precompiled header can be cached.
  add_compile_options("SHELL:-Xclang -fno-pch-timestamp")
  add_compile_options(-Wthread-safety -Werror=thread-safety -Werror=unused-result
                      -Werror=return-type)
else()
  # -Wdangling-else: GoogleTest's macros end in an else of their own.
  add_compile_options(-Wno-maybe-uninitialized -Wno-mismatched-new-delete -Wno-dangling-else)
endif()

if(GANTRY_SANITIZE)
  add_compile_options(-fsanitize=${GANTRY_SANITIZE} -fno-sanitize-recover=undefined)
  add_link_options(-fsanitize=${GANTRY_SANITIZE})
endif()
if(CMAKE_BUILD_TYPE STREQUAL "Release")
  add_link_options(-Wl,--gc-sections -Wl,--as-needed)
  add_compile_options(-ffunction-sections -fdata-sections)
endif()
