#include "apiserver/tables/cell_text.h"

#include <algorithm>

#include "api/core/v1/pod_template.pb.h"
#include "api/duration.h"
#include "api/intstr/int_or_string.pb.h"
#include "api/selector.h"

namespace gantry::apiserver::tables {
namespace {

constexpr size_t kShown = 3;

template <class T>
std::string AgeOfTime(const T& time, WallTime now) {
  if (time.seconds() == 0 && time.nanos() == 0) return std::string(kUnknown);
  return api::HumanDuration(now - api::ToWallTime(time));
}

}  // namespace

std::string AgeOf(const api::meta::v1::Time& time, WallTime now) { return AgeOfTime(time, now); }
std::string AgeOf(const api::meta::v1::MicroTime& time, WallTime now) {
  return AgeOfTime(time, now);
}

std::string FirstThree(const Strings& parts, size_t count) {
  Strings shown(parts.begin(), parts.begin() + std::min(parts.size(), kShown));
  std::string out = Join(shown, ",");
  if (count > kShown) out.append(" + ").append(std::to_string(count - kShown)).append(" more...");
  return out;
}

std::string LabelText(const google::protobuf::Map<std::string, std::string>& labels) {
  if (labels.empty()) return std::string(kNone);
  Strings parts;
  for (const auto& [key, value] : labels)
    parts.push_back(key + "=" + value);
  std::sort(parts.begin(), parts.end());
  return Join(parts, ",");
}

std::string SelectorText(const api::meta::v1::LabelSelector& selector) {
  auto compiled = api::Selector::From(selector);
  if (!compiled.ok()) return "<error>";
  std::string text = compiled->ToString();
  return text.empty() ? std::string(kNone) : text;
}

std::string ContainerNames(const api::core::v1::PodTemplateSpec& pod_template) {
  Strings names;
  for (const auto& container : pod_template.spec().containers())
    names.push_back(container.name());
  return Join(names, ",");
}

std::string ContainerImages(const api::core::v1::PodTemplateSpec& pod_template) {
  Strings images;
  for (const auto& container : pod_template.spec().containers())
    images.push_back(container.image());
  return Join(images, ",");
}

std::string IntOrStringText(const api::intstr::IntOrString& value) {
  return value.type() == 1 ? value.str_val() : std::to_string(value.int_val());
}

std::string HostPort(std::string_view host, int32_t port) {
  bool bracket = host.find(':') != std::string_view::npos;
  std::string out = bracket ? "[" + std::string(host) + "]" : std::string(host);
  return out + ":" + std::to_string(port);
}

std::string LowerCase(std::string_view text) {
  std::string out(text);
  for (char& c : out)
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
  return out;
}

}  // namespace gantry::apiserver::tables
