#pragma once

#include <google/protobuf/message.h>

#include <cstdint>
#include <initializer_list>
#include <span>
#include <string>
#include <string_view>

#include "api/field_error.h"
#include "api/formats.h"
#include "api/intstr/int_or_string.pb.h"
#include "api/resource/quantity.pb.h"

// What all checks are made of: where we are in the object, and what is wrong there.
namespace gantry::api::validation {

using StringMap = google::protobuf::Map<std::string, std::string>;
using Strings = google::protobuf::RepeatedPtrField<std::string>;
using QuantityMap = google::protobuf::Map<std::string, resource::Quantity>;

// What a field may hold: a table of literals, or a list written in place for the length of a call.
class Values {
 public:
  template <size_t N>
  Values(const std::string_view (&table)[N]) : values_(table) {}
  Values(std::initializer_list<std::string_view> list) : values_(list) {}

  auto begin() const { return values_.begin(); }
  auto end() const { return values_.end(); }

 private:
  std::span<const std::string_view> values_;
};

// A place in an object. It points to the place above it and becomes text only when there is an
// error to report, so that a valid object costs nothing. That is why a place below a temporary one
// does not compile: name the upper one first. `name` may have dots. Threading: a value of the
// stack.
class Path {
 public:
  explicit Path(std::string_view name) : name_(name) {}

  Path Child(std::string_view name) const& { return Path(this, Kind::kName, name, 0); }
  Path Index(int index) const& { return Path(this, Kind::kIndex, {}, index); }
  Path Key(std::string_view key) const& { return Path(this, Kind::kKey, key, 0); }
  Path Child(std::string_view name) && = delete;
  Path Index(int index) && = delete;
  Path Key(std::string_view key) && = delete;

  std::string ToString() const;

 private:
  enum class Kind : uint8_t { kName, kIndex, kKey };
  Path(const Path* parent, Kind kind, std::string_view name, int index)
      : parent_(parent), name_(name), index_(index), kind_(kind) {}

  const Path* parent_ = nullptr;
  std::string_view name_;
  int index_ = 0;
  Kind kind_ = Kind::kName;
};

// A value as an error shows it: strings in quotes, all else as JSON.
class Bad {
 public:
  Bad(std::string_view value);                  // NOLINT: implicit on purpose
  Bad(const std::string& value);                // NOLINT
  Bad(const char* value);                       // NOLINT
  Bad(int32_t value);                           // NOLINT
  Bad(int64_t value);                           // NOLINT
  Bad(bool value);                              // NOLINT
  Bad(std::nullptr_t);                          // NOLINT
  Bad(const google::protobuf::Message& value);  // NOLINT
  Bad(const StringMap& value);                  // NOLINT
  Bad(const QuantityMap& value);                // NOLINT
  Bad(const Strings& value);                    // NOLINT
  template <class T>
  Bad(const google::protobuf::RepeatedPtrField<T>& values) {  // NOLINT
    text_ = "[";
    for (const T& value : values)
      text_ += (text_.size() > 1 ? "," : "") + Bad(value).text_;
    text_ += "]";
  }

  const std::string& text() const { return text_; }

 private:
  std::string text_;
};

// Collects what is wrong.
class Errors {
 public:
  void Required(const Path& path, std::string_view detail = "");
  void Forbidden(const Path& path, std::string_view detail);
  void Invalid(const Path& path, const Bad& value, std::string_view detail);
  void Duplicate(const Path& path, const Bad& value, std::string_view detail = "");
  void NotFound(const Path& path, const Bad& value, std::string_view detail = "");
  // `values` in the order in which the message names them.
  void NotSupported(const Path& path, const Bad& value, Values values);
  void TooLong(const Path& path, size_t longest);
  void TooMany(const Path& path, int actual, int most);
  // One kInvalid for each complaint.
  void Complain(const Path& path, std::string_view value, const Complaints& complaints) {
    for (const std::string& complaint : complaints)
      Invalid(path, value, complaint);
  }
  void Complain(const Path& path, int64_t value, const Complaints& complaints) {
    for (const std::string& complaint : complaints)
      Invalid(path, value, complaint);
  }

  size_t size() const { return list_.size(); }
  // Brings what was added since there were `mark` errors into a fixed order: for checks of maps,
  // which have none.
  void SortFrom(size_t mark);
  FieldErrors Take() && { return std::move(list_); }

 private:
  void Add(FieldError::Type type, const Path& path, std::string message, std::string_view detail);

  FieldErrors list_;
};

inline constexpr char kImmutable[] = "field is immutable";
inline constexpr char kNegative[] = "must be greater than or equal to 0";
inline constexpr char kNotPositive[] = "must be greater than zero";

// Small checks over one value.
bool IsOneOf(std::string_view value, Values values);
// kRequired when empty, kNotSupported when it is none of `values`.
void CheckEnum(const Path& path, std::string_view value, Values values, Errors* errors);
void CheckNonnegative(const Path& path, int64_t value, Errors* errors);
void CheckDns1123Label(const Path& path, std::string_view value, Errors* errors);
void CheckDns1123Subdomain(const Path& path, std::string_view value, Errors* errors);
void CheckQualifiedName(const Path& path, std::string_view value, Errors* errors);
void CheckIp(const Path& path, std::string_view value, Errors* errors);
void CheckCidr(const Path& path, std::string_view value, Errors* errors);
// Not loopback, link-local, multicast or unspecified.
void CheckNonSpecialIp(const Path& path, std::string_view value, Errors* errors);
void CheckPortNumberOrName(const Path& path, const intstr::IntOrString& port, Errors* errors);
// A relative path without "..".
void CheckLocalPath(const Path& path, std::string_view value, Errors* errors);
void CheckNoBacksteps(const Path& path, std::string_view value, Errors* errors);
// As above, and it does not begin with "..".
void CheckLocalNonReservedPath(const Path& path, std::string_view value, Errors* errors);

// Equal as Kubernetes sees it: quantities by value, an unset field like its zero value where the
// field cannot tell the two apart, lists and maps without items like absent ones.
bool SemanticEqual(const google::protobuf::Message& a, const google::protobuf::Message& b);
bool Equal(const StringMap& a, const StringMap& b);
bool Equal(const Strings& a, const Strings& b);
template <class T>
bool Equal(const google::protobuf::RepeatedPtrField<T>& a,
           const google::protobuf::RepeatedPtrField<T>& b) {
  if (a.size() != b.size()) return false;
  for (int i = 0; i < a.size(); ++i) {
    if (!SemanticEqual(a[i], b[i])) return false;
  }
  return true;
}
// The fields in which two messages differ, one line for each, as an explanation behind a message.
std::string DescribeDifference(const google::protobuf::Message& before,
                               const google::protobuf::Message& after);

}  // namespace gantry::api::validation
