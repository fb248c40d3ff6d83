#include "api/pod_resources.h"

#include "api/pod_peak.h"
#include "api/quantity.h"

namespace gantry::api {
ResourceAmounts ToAmounts(const google::protobuf::Map<std::string, resource::Quantity>& list) {
  ResourceAmounts amounts;
  for (const auto& [name, quantity] : list) {
    const Quantity value = Quantity::ParseOrZero(quantity.string());
    amounts[name] = name == "cpu" ? value.MilliValue() : value.Value();
  }
  return amounts;
}

ResourceAmounts PodRequests(const core::v1::Pod& pod) {
  ResourceAmounts amounts =
      PodPeak(pod.spec(), [](const core::v1::ResourceRequirements& resources) {
        return ToAmounts(resources.requests());
      });
  AddAmounts(ToAmounts(pod.spec().overhead()), &amounts);
  return amounts;
}

}  // namespace gantry::api
