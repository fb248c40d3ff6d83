#include "api/core/v1/pod.pb.h"
#include "api/scheduling/v1/priority_class.pb.h"
#include "apiserver/admission/plugins.h"

namespace gantry::apiserver {
namespace {

using api::core::v1::Pod;
using api::scheduling::v1::PriorityClass;

class Plugin : public AdmissionPlugin {
 public:
  explicit Plugin(Registry& registry) : registry_(registry) {}
  std::string_view name() const override { return "Priority"; }

  Status Mutate(AdmissionRequest& request) override {
    if (!request.Is("", "pods") || !request.subresource.empty()) return {};
    if (request.operation == Operation::kUpdate) {
      // What was settled on create stays when a client leaves it out.
      auto* spec = static_cast<Pod*>(request.object)->mutable_spec();
      const auto& old = static_cast<const Pod*>(request.old)->spec();
      if (!spec->has_priority() && old.has_priority()) spec->set_priority(old.priority());
      if (!spec->has_preemption_policy() && old.has_preemption_policy()) {
        spec->set_preemption_policy(old.preemption_policy());
      }
      return {};
    }
    if (request.operation != Operation::kCreate) return {};
    auto* spec = static_cast<Pod*>(request.object)->mutable_spec();
    api::Ref<PriorityClass> chosen;
    if (spec->priority_class_name().empty()) {
      chosen = Default();
      if (chosen) spec->set_priority_class_name(chosen->metadata().name());
    } else {
      chosen = registry_.Peek<PriorityClass>("", spec->priority_class_name());
      if (!chosen)
        return request.Forbid("no PriorityClass with name " + spec->priority_class_name() +
                              " was found");
    }
    const int32_t value = chosen ? chosen->value() : 0;
    if (spec->has_priority() && spec->priority() != value) {
      return request.Forbid(
          "the integer value of priority (" + std::to_string(spec->priority()) +
          ") must not be provided in pod spec; priority admission controller computed " +
          std::to_string(value) + " from the given PriorityClass name");
    }
    std::string policy = chosen && chosen->has_preemption_policy() ? chosen->preemption_policy()
                                                                   : "PreemptLowerPriority";
    if (spec->has_preemption_policy() && spec->preemption_policy() != policy) {
      return request.Forbid(
          "the string value of PreemptionPolicy (" + spec->preemption_policy() +
          ") must not be provided in pod spec; priority admission controller computed " + policy +
          " from the given PriorityClass name");
    }
    spec->set_priority(value);
    spec->set_preemption_policy(std::move(policy));
    return {};
  }

  Status Validate(const AdmissionRequest& request) override {
    if (!request.Is("scheduling.k8s.io", "priorityclasses") || request.object == nullptr) return {};
    if (!static_cast<const PriorityClass*>(request.object)->global_default()) return {};
    api::Ref<PriorityClass> other = Default();
    if (!other || other->metadata().name() ==
                      static_cast<const PriorityClass*>(request.object)->metadata().name()) {
      return {};
    }
    return request.Forbid("PriorityClass " + other->metadata().name() +
                          " is already marked as default. Only one default can exist");
  }

 private:
  api::Ref<PriorityClass> Default() const {
    api::Ref<PriorityClass> lowest;
    for (const api::ObjectPtr& object :
         registry_.CacheOf(api::KindOf<PriorityClass>()).List({}).objects) {
      api::Ref<PriorityClass> candidate(object);
      if (candidate->global_default() && (!lowest || candidate->value() < lowest->value()))
        lowest = candidate;
    }
    return lowest;
  }

  Registry& registry_;
};

}  // namespace

std::unique_ptr<AdmissionPlugin> PriorityAdmission(Registry& registry) {
  return std::make_unique<Plugin>(registry);
}

}  // namespace gantry::apiserver
