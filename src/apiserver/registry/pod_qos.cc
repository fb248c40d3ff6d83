#include "apiserver/registry/pod_qos.h"

#include <map>
#include <string>

#include "api/quantity.h"

namespace gantry::apiserver {
namespace {

using Totals = std::map<std::string, api::Quantity>;
using ResourceList = google::protobuf::Map<std::string, api::resource::Quantity>;

constexpr std::string_view kCounted[] = {"cpu", "memory"};

// Adds what is above zero of the resources that count; how many there were.
int AddTo(const ResourceList& list, Totals* totals) {
  int added = 0;
  for (std::string_view name : kCounted) {
    auto it = list.find(std::string(name));
    if (it == list.end()) continue;
    api::Quantity amount = api::Quantity::ParseOrZero(it->second.string());
    if (amount.Sign() <= 0) continue;
    (*totals)[std::string(name)] += amount;
    ++added;
  }
  return added;
}

}  // namespace

std::string_view QosClassOf(const api::core::v1::PodSpec& spec) {
  Totals requests, limits;
  bool all_limited = true;
  auto count = [&](const api::core::v1::ResourceRequirements& resources) {
    AddTo(resources.requests(), &requests);
    if (AddTo(resources.limits(), &limits) != 2) all_limited = false;
  };
  if (spec.has_resources() &&
      (spec.resources().requests_size() > 0 || spec.resources().limits_size() > 0)) {
    count(spec.resources());
  } else {
    for (const auto& container : spec.containers())
      count(container.resources());
    for (const auto& container : spec.init_containers())
      count(container.resources());
  }
  if (requests.empty() && limits.empty()) return "BestEffort";
  if (all_limited && requests == limits) return "Guaranteed";
  return "Burstable";
}

}  // namespace gantry::apiserver
