#pragma once

#include "api/core/v1/pod.pb.h"

namespace gantry::api {

template <class Amounts>
void AddAmounts(const Amounts& amounts, Amounts* total) {
  for (const auto& [name, amount] : amounts)
    (*total)[name] += amount;
}

template <class Amounts>
void TakeLargerAmounts(const Amounts& amounts, Amounts* total) {
  for (const auto& [name, amount] : amounts) {
    auto& held = (*total)[name];
    if (held < amount) held = amount;
  }
}

// What a pod takes at its peak, without its overhead: all containers and sidecars together, or an
// init container with the sidecars that started before it, whichever is more; what the pod itself
// says wins over its containers. `of` gives the amounts (a map by resource name) of one
// core::v1::ResourceRequirements: its requests or its limits.
template <class Of>
auto PodPeak(const core::v1::PodSpec& spec, Of of) {
  using Amounts = decltype(of(spec.resources()));
  Amounts running, sidecars, init_peak;
  for (const auto& container : spec.containers())
    AddAmounts(of(container.resources()), &running);
  for (const auto& container : spec.init_containers()) {
    Amounts wants = of(container.resources());
    if (container.restart_policy() == "Always") {
      AddAmounts(wants, &running);
      AddAmounts(wants, &sidecars);
      TakeLargerAmounts(sidecars, &init_peak);
    } else {
      AddAmounts(sidecars, &wants);
      TakeLargerAmounts(wants, &init_peak);
    }
  }
  TakeLargerAmounts(init_peak, &running);
  for (const auto& [name, amount] : of(spec.resources()))
    running[name] = amount;
  return running;
}

}  // namespace gantry::api
