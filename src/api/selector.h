#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include <google/protobuf/map.h>

#include "base/status.h"

namespace gantry::api::meta::v1 {
class LabelSelector;
}

namespace gantry::api {

using LabelMap = google::protobuf::Map<std::string, std::string>;

// A condition on labels. All requirements must hold; none means that everything matches. Threading:
// a value.
class Selector {
 public:
  enum class Op : uint8_t {
    kIn,
    kNotIn,
    kEquals,
    kNotEquals,
    kExists,
    kDoesNotExist,
    kGreaterThan,
    kLessThan,
  };
  struct Requirement {
    std::string key;
    Op op = Op::kExists;
    std::vector<std::string>
        values;  // sorted; one for kEquals, kNotEquals, kGreaterThan, kLessThan

    bool Matches(const LabelMap& labels) const;
    friend bool operator==(const Requirement&, const Requirement&) = default;
  };

  Selector() = default;  // everything
  static Selector Nothing();
  // The query syntax: "app=web,tier in (a,b),!canary". kBadRequest worded as labels.Parse does.
  static Result<Selector> Parse(std::string_view text);
  // The structured form. Empty matches everything. kBadRequest worded as
  // metav1.LabelSelectorAsSelector does.
  static Result<Selector> From(const meta::v1::LabelSelector& selector);
  // Equality with each of the labels; they need not be valid.
  static Selector FromMap(const LabelMap& labels);

  bool Matches(const LabelMap& labels) const;
  // What both match.
  Selector And(const Selector& other) const;
  bool empty() const { return requirements_.empty() && !nothing_; }
  bool nothing() const { return nothing_; }
  // Sorted by key. Parse(ToString()) gives an equal selector.
  std::string ToString() const;
  std::span<const Requirement> requirements() const { return requirements_; }
  // The value that a label must have for any object to match; null where there is no such single
  // value. For index use.
  const std::string* RequiredValue(std::string_view key) const;

  friend bool operator==(const Selector&, const Selector&) = default;

 private:
  std::vector<Requirement> requirements_;
  bool nothing_ = false;
};

// A condition on fields: "spec.nodeName=a,status.phase!=Running". Which fields a kind has is for
// the caller to check. Threading: a value.
class FieldSelector {
 public:
  enum class Op : uint8_t { kEquals, kNotEquals };
  struct Requirement {
    std::string field;
    Op op = Op::kEquals;
    std::string value;
    friend bool operator==(const Requirement&, const Requirement&) = default;
  };

  FieldSelector() = default;  // everything
  // kBadRequest worded as fields.ParseSelector does.
  static Result<FieldSelector> Parse(std::string_view text);

  bool Matches(const std::function<std::string(std::string_view field)>& value_of) const;
  bool empty() const { return requirements_.empty(); }
  std::string ToString() const;
  std::span<const Requirement> requirements() const { return requirements_; }
  // The value that `field` must have; null where it may have several.
  const std::string* RequiredValue(std::string_view field) const;

  friend bool operator==(const FieldSelector&, const FieldSelector&) = default;

 private:
  std::vector<Requirement> requirements_;
};

}  // namespace gantry::api
