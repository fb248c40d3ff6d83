# gantry_proto_library(NAME file.proto ...): compiles .proto files, named relative to src/, into one static library.
# The generated headers are included as "api/core/v1/pod.pb.h". Each file is generated and compiled by itself.
# The target's property GANTRY_PROTOS lists the files.
function(gantry_proto_library name)
  set(out ${CMAKE_BINARY_DIR}/gen)
  file(MAKE_DIRECTORY ${out})
  set(generated)
  set(protos)
  foreach(proto ${ARGN})
    string(REGEX REPLACE "\\.proto$" "" stem ${proto})
    add_custom_command(
      OUTPUT ${out}/${stem}.pb.cc ${out}/${stem}.pb.h
      COMMAND protobuf::protoc -I ${CMAKE_SOURCE_DIR}/src --cpp_out=${out} --dependency_out=${out}/${stem}.pb.d
              ${CMAKE_SOURCE_DIR}/src/${proto}
      DEPENDS ${CMAKE_SOURCE_DIR}/src/${proto}
      DEPFILE ${out}/${stem}.pb.d
      VERBATIM)
    list(APPEND generated ${out}/${stem}.pb.cc)
    list(APPEND protos ${CMAKE_SOURCE_DIR}/src/${proto})
  endforeach()
  add_library(${name} STATIC ${generated})
  target_include_directories(${name} SYSTEM PUBLIC ${out})
  target_link_libraries(${name} PUBLIC protobuf::libprotobuf)
  target_compile_options(${name} PRIVATE -w)
  # What protoc writes is as trusted as the library that it calls, and takes twice as long with sanitizers.
  if(GANTRY_SANITIZE)
    target_compile_options(${name} PRIVATE -fno-sanitize=all)
  endif()
  set_target_properties(${name} PROPERTIES GANTRY_PROTOS "${protos}")
endfunction()
