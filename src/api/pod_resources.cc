#include "api/pod_resources.h"

#include <algorithm>

#include "api/quantity.h"

namespace gantry::api {
namespace {

void Add(const ResourceAmounts& amounts, ResourceAmounts* total) {
  for (const auto& [name, amount] : amounts)
    (*total)[name] += amount;
}

void TakeLarger(const ResourceAmounts& amounts, ResourceAmounts* total) {
  for (const auto& [name, amount] : amounts)
    (*total)[name] = std::max((*total)[name], amount);
}

}  // namespace

ResourceAmounts ToAmounts(const google::protobuf::Map<std::string, resource::Quantity>& list) {
  ResourceAmounts amounts;
  for (const auto& [name, quantity] : list) {
    const Quantity value = Quantity::ParseOrZero(quantity.string());
    amounts[name] = name == "cpu" ? value.MilliValue() : value.Value();
  }
  return amounts;
}

ResourceAmounts PodRequests(const core::v1::Pod& pod) {
  ResourceAmounts running, sidecars, init_peak;
  for (const auto& container : pod.spec().containers()) {
    Add(ToAmounts(container.resources().requests()), &running);
  }
  for (const auto& container : pod.spec().init_containers()) {
    ResourceAmounts wants = ToAmounts(container.resources().requests());
    if (container.restart_policy() == "Always") {
      Add(wants, &running);
      Add(wants, &sidecars);
      TakeLarger(sidecars, &init_peak);
    } else {
      Add(sidecars, &wants);
      TakeLarger(wants, &init_peak);
    }
  }
  TakeLarger(init_peak, &running);
  for (const auto& [name, amount] : ToAmounts(pod.spec().resources().requests()))
    running[name] = amount;
  Add(ToAmounts(pod.spec().overhead()), &running);
  return running;
}

}  // namespace gantry::api
