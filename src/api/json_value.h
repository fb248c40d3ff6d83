#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "base/status.h"

namespace gantry::api {

// A JSON document that can be changed: what patches, server-side apply and custom resources work
// on. Objects keep the order in which members were added. Threading: a value.
class JsonValue {
 public:
  using Array = std::vector<JsonValue>;
  using Member = std::pair<std::string, JsonValue>;
  using Object = std::vector<Member>;

  JsonValue() = default;                                             // null
  JsonValue(std::nullptr_t) {}                                       // NOLINT: implicit on purpose
  JsonValue(bool value) : value_(value) {}                           // NOLINT
  JsonValue(int value) : value_(int64_t{value}) {}                   // NOLINT
  JsonValue(int64_t value) : value_(value) {}                        // NOLINT
  JsonValue(double value) : value_(value) {}                         // NOLINT
  JsonValue(const char* value) : value_(std::string(value)) {}       // NOLINT
  JsonValue(std::string_view value) : value_(std::string(value)) {}  // NOLINT
  JsonValue(std::string value) : value_(std::move(value)) {}         // NOLINT
  JsonValue(Array value) : value_(std::move(value)) {}               // NOLINT
  JsonValue(Object value) : value_(std::move(value)) {}              // NOLINT
  static JsonValue MakeObject() { return JsonValue(Object()); }
  static JsonValue MakeArray() { return JsonValue(Array()); }

  // kBadRequest, worded as Go's decoder words it, for malformed text, too much depth (> 1000) or
  // text behind the value. Of members with the same name the last one counts.
  static Result<JsonValue> Parse(std::string_view text);
  void AppendTo(std::string* out) const;
  std::string ToString() const;

  bool is_null() const { return std::holds_alternative<std::monostate>(value_); }
  bool is_bool() const { return std::holds_alternative<bool>(value_); }
  bool is_int() const { return std::holds_alternative<int64_t>(value_); }
  bool is_double() const { return std::holds_alternative<double>(value_); }
  bool is_number() const { return is_int() || is_double(); }
  bool is_string() const { return std::holds_alternative<std::string>(value_); }
  bool is_array() const { return std::holds_alternative<Array>(value_); }
  bool is_object() const { return std::holds_alternative<Object>(value_); }

  // The caller has checked the type.
  bool as_bool() const { return std::get<bool>(value_); }
  int64_t as_int() const { return std::get<int64_t>(value_); }
  double as_double() const {
    return is_int() ? static_cast<double>(as_int()) : std::get<double>(value_);
  }
  const std::string& as_string() const { return std::get<std::string>(value_); }
  std::string& as_string() { return std::get<std::string>(value_); }
  const Array& as_array() const { return std::get<Array>(value_); }
  Array& as_array() { return std::get<Array>(value_); }
  const Object& as_object() const { return std::get<Object>(value_); }
  Object& as_object() { return std::get<Object>(value_); }

  // Members of an object. Find gives null where there is none, also when this is not an object.
  const JsonValue* Find(std::string_view key) const;
  JsonValue* Find(std::string_view key);
  // The member, added as null when absent; a null becomes an object first.
  JsonValue& operator[](std::string_view key);
  bool Erase(std::string_view key);

  // Deep; the order of members does not matter; 1 and 1.0 are equal.
  friend bool operator==(const JsonValue& a, const JsonValue& b);

 private:
  std::variant<std::monostate, bool, int64_t, double, std::string, Array, Object> value_;
};

}  // namespace gantry::api
