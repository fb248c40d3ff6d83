#include "apiserver/openapi/gnostic_message.h"

#include <cstring>

namespace gantry::apiserver::openapi::gnostic {
namespace {

using api::JsonValue;

enum WireType : uint8_t { kVarint = 0, kFixed64 = 1, kLength = 2 };

void AppendVarint(uint64_t value, std::string* out) {
  while (value >= 0x80) {
    out->push_back(static_cast<char>(value | 0x80));
    value >>= 7;
  }
  out->push_back(static_cast<char>(value));
}

void AppendTag(int number, WireType type, std::string* out) {
  AppendVarint(static_cast<uint64_t>(number) << 3 | type, out);
}

void AppendBytes(int number, std::string_view bytes, std::string* out) {
  AppendTag(number, kLength, out);
  AppendVarint(bytes.size(), out);
  out->append(bytes);
}

void AppendDouble(int number, double value, std::string* out) {
  AppendTag(number, kFixed64, out);
  char bytes[sizeof value];
  std::memcpy(bytes, &value, sizeof value);  // little-endian, as on the wire
  out->append(bytes, sizeof bytes);
}

std::string Named(std::string_view name, std::string_view value) {
  return Wrapped(1, name) + Wrapped(2, value);
}

void AppendMember(const Member& member, const JsonValue& value, std::string* out) {
  switch (member.form) {
    case Form::kText:
      if (value.is_string()) AppendBytes(member.number, value.as_string(), out);
      return;
    case Form::kTexts:
      if (!value.is_array()) return;
      for (const JsonValue& item : value.as_array()) {
        if (item.is_string()) AppendBytes(member.number, item.as_string(), out);
      }
      return;
    case Form::kFlag:
      if (!value.is_bool() || !value.as_bool()) return;
      AppendTag(member.number, kVarint, out);
      AppendVarint(1, out);
      return;
    case Form::kInteger:
      if (!value.is_int()) return;
      AppendTag(member.number, kVarint, out);
      AppendVarint(static_cast<uint64_t>(value.as_int()), out);
      return;
    case Form::kNumber:
      if (value.is_number()) AppendDouble(member.number, value.as_double(), out);
      return;
    case Form::kMessage:
      AppendBytes(member.number, member.encode(value), out);
      return;
    case Form::kMessages:
      if (!value.is_array()) return;
      for (const JsonValue& item : value.as_array())
        AppendBytes(member.number, member.encode(item), out);
      return;
  }
}

}  // namespace

std::string Wrapped(int number, std::string_view bytes) {
  std::string out;
  AppendBytes(number, bytes, &out);
  return out;
}

std::string EncodeAny(const JsonValue& value) { return Wrapped(2, value.ToString() + "\n"); }

std::string EncodeMap(const JsonValue& object, Encoder encode, int number) {
  std::string out;
  if (!object.is_object()) return out;
  for (const auto& [name, value] : object.as_object())
    AppendBytes(number, Named(name, encode(value)), &out);
  return out;
}

std::string EncodeObject(std::span<const Member> members, const JsonValue& object, int extensions) {
  std::string out;
  for (const Member& member : members) {
    if (const JsonValue* value = object.Find(member.name)) AppendMember(member, *value, &out);
  }
  if (extensions == 0 || !object.is_object()) return out;
  for (const auto& [name, value] : object.as_object()) {
    if (name.starts_with("x-")) AppendBytes(extensions, Named(name, EncodeAny(value)), &out);
  }
  return out;
}

}  // namespace gantry::apiserver::openapi::gnostic
