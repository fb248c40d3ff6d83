#pragma once

#include <cstdint>
#include <string>

#include "api/pod_resources.h"

namespace gantry::scheduler {

// Amounts of the resources that every node has, as plain numbers, and of all others by name.
struct Resources {
  int64_t milli_cpu = 0;
  int64_t memory = 0;
  int64_t ephemeral_storage = 0;
  int64_t pods = 0;
  api::ResourceAmounts others;

  static Resources From(const api::ResourceAmounts& amounts);
  void Add(const Resources& more);
  void Subtract(const Resources& less);
};

}  // namespace gantry::scheduler
