#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>

#include "api/json_value.h"

// How gnostic's messages follow from JSON objects: a message is a table of the object's members.
namespace gantry::apiserver::openapi::gnostic {

using Encoder = std::string (*)(const api::JsonValue& value);

enum class Form : uint8_t {
  kText,
  kTexts,    // repeated string
  kFlag,     // bool
  kInteger,  // int64
  kNumber,   // double
  kMessage,  // what `encode` makes of the value
  kMessages  // the same for each item of an array
};

struct Member {
  std::string_view name;  // in JSON
  int number;             // in protobuf
  Form form;
  Encoder encode = nullptr;
};

// One object by the table, whose rows stand in the order of their numbers. Absent members and those
// of another type are left out. `extensions` is the number of the repeated NamedAny that takes the
// members whose names begin with "x-"; 0: there is none.
std::string EncodeObject(std::span<const Member> members, const api::JsonValue& object,
                         int extensions = 0);

// An object whose names are free, as repeated Named* messages (a name and a value) of `number`.
std::string EncodeMap(const api::JsonValue& object, Encoder encode, int number);

// Any: its text is YAML, which JSON is too.
std::string EncodeAny(const api::JsonValue& value);

// One field that holds `bytes`.
std::string Wrapped(int number, std::string_view bytes);

}  // namespace gantry::apiserver::openapi::gnostic
