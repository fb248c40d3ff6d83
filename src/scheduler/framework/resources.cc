#include "scheduler/framework/resources.h"

namespace gantry::scheduler {

Resources Resources::From(const api::ResourceAmounts& amounts) {
  Resources resources;
  for (const auto& [name, amount] : amounts) {
    if (name == "cpu") {
      resources.milli_cpu = amount;
    } else if (name == "memory") {
      resources.memory = amount;
    } else if (name == "ephemeral-storage") {
      resources.ephemeral_storage = amount;
    } else if (name == "pods") {
      resources.pods = amount;
    } else {
      resources.others[name] = amount;
    }
  }
  return resources;
}

void Resources::Add(const Resources& more) {
  milli_cpu += more.milli_cpu;
  memory += more.memory;
  ephemeral_storage += more.ephemeral_storage;
  pods += more.pods;
  for (const auto& [name, amount] : more.others)
    others[name] += amount;
}

void Resources::Subtract(const Resources& less) {
  milli_cpu -= less.milli_cpu;
  memory -= less.memory;
  ephemeral_storage -= less.ephemeral_storage;
  pods -= less.pods;
  for (const auto& [name, amount] : less.others)
    others[name] -= amount;
}

}  // namespace gantry::scheduler
