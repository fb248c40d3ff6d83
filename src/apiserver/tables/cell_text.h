#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include <google/protobuf/map.h>

#include "api/meta/v1/selector.pb.h"
#include "api/meta/v1/time.pb.h"
#include "base/env/time.h"

// Pieces of text that the cells of several kinds have in common.
namespace gantry::api::core::v1 {
class PodTemplateSpec;
}
namespace gantry::api::intstr {
class IntOrString;
}

namespace gantry::apiserver::tables {

using Strings = std::vector<std::string>;

inline constexpr std::string_view kNone = "<none>";
inline constexpr std::string_view kUnset = "<unset>";
inline constexpr std::string_view kUnknown = "<unknown>";

inline std::string_view OrElse(std::string_view text, std::string_view otherwise) {
  return text.empty() ? otherwise : text;
}

// How long ago; "<unknown>" for a time that is not set.
std::string AgeOf(const api::meta::v1::Time& time, WallTime now);
std::string AgeOf(const api::meta::v1::MicroTime& time, WallTime now);

template <class Container>
std::string Join(const Container& parts, std::string_view separator) {
  std::string out;
  bool first = true;
  for (const auto& part : parts) {
    if (!first) out.append(separator);
    first = false;
    out.append(part);
  }
  return out;
}

// The first three of `parts` joined with commas; `count`, where it is more, is told behind them.
std::string FirstThree(const Strings& parts, size_t count);

// "a=1,b=2" sorted by key; "<none>" where there are none.
std::string LabelText(const google::protobuf::Map<std::string, std::string>& labels);
// The selector as text; "<none>" for one that matches everything, "<error>" for one that is not
// valid.
std::string SelectorText(const api::meta::v1::LabelSelector& selector);

std::string ContainerNames(const api::core::v1::PodTemplateSpec& pod_template);
std::string ContainerImages(const api::core::v1::PodTemplateSpec& pod_template);

std::string IntOrStringText(const api::intstr::IntOrString& value);

// "[::1]:80", "10.0.0.1:80".
std::string HostPort(std::string_view host, int32_t port);

std::string LowerCase(std::string_view text);

// The condition of a type; null where there is none.
template <class Conditions>
auto FindCondition(const Conditions& conditions, std::string_view type)
    -> decltype(&*conditions.begin()) {
  for (const auto& condition : conditions)
    if (condition.type() == type) return &condition;
  return nullptr;
}

}  // namespace gantry::apiserver::tables
