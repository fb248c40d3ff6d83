#pragma once

#include <algorithm>
#include <iterator>
#include <string>
#include <string_view>
#include <utility>

#include "scheduler/framework/node_info.h"
#include "scheduler/plugins/args.h"

namespace gantry::scheduler {

// The name of a resource, for looking its amounts up often. Threading: immutable.
class ResourceName {
 public:
  explicit ResourceName(std::string name) : name_(std::move(name)) {
    const auto* known = std::find(std::begin(kKnown), std::end(kKnown), name_);
    kind_ = static_cast<Kind>(known - std::begin(kKnown));
  }

  int64_t AmountIn(const Resources& resources) const {
    switch (kind_) {
      case kCpu:
        return resources.milli_cpu;
      case kMemory:
        return resources.memory;
      case kEphemeralStorage:
        return resources.ephemeral_storage;
      case kPods:
        return resources.pods;
      case kScalar:
        break;
    }
    auto it = resources.others.find(name_);
    return it == resources.others.end() ? 0 : it->second;
  }
  // What the pods on the node ask for, as it counts when nodes are compared.
  int64_t ScoredOn(const NodeInfo& node) const {
    if (kind_ == kCpu) return node.score_milli_cpu;
    if (kind_ == kMemory) return node.score_memory;
    return AmountIn(node.requested);
  }
  // A resource that few nodes have: "example.com/gpu", "hugepages-2Mi".
  bool is_scalar() const { return kind_ == kScalar; }
  const std::string& text() const { return name_; }

 private:
  enum Kind : uint8_t { kCpu, kMemory, kEphemeralStorage, kPods, kScalar };
  static constexpr std::string_view kKnown[] = {"cpu", "memory", "ephemeral-storage", "pods"};

  std::string name_;
  Kind kind_;
};

// As it counts in the score of a rule.
struct WeightedResource {
  explicit WeightedResource(const ResourceWeight& from) : name(from.name), weight(from.weight) {}
  ResourceName name;
  int64_t weight;
};

}  // namespace gantry::scheduler
