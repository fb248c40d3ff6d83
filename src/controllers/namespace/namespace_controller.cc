#include "controllers/namespace/namespace_controller.h"

#include <algorithm>
#include <map>
#include <optional>
#include <set>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"

#include "api/core/v1/namespace.pb.h"
#include "api/duration.h"
#include "api/owners.h"
#include "api/same.h"
#include "controllers/ownership/collectable.h"

namespace gantry::controllers {
namespace {

using api::core::v1::Namespace;
using api::core::v1::NamespaceStatus;
using client::Plan;

constexpr char kFinalizer[] = "kubernetes";

void SetCondition(NamespaceStatus* status, const char* type, bool value, const char* reason,
                  std::string message, WallTime now) {
  const char* text = value ? "True" : "False";
  for (auto& condition : *status->mutable_conditions()) {
    if (condition.type() != type) continue;
    if (condition.status() != text) api::SetTime(now, condition.mutable_last_transition_time());
    condition.set_status(text);
    condition.set_reason(reason);
    condition.set_message(std::move(message));
    return;
  }
  auto* condition = status->add_conditions();
  condition->set_type(type);
  condition->set_status(text);
  condition->set_reason(reason);
  condition->set_message(std::move(message));
  api::SetTime(now, condition->mutable_last_transition_time());
}

std::string Joined(const std::map<std::string, int>& counts, const char* verb) {
  std::string text;
  for (const auto& [what, count] : counts) {
    text += (text.empty() ? "" : ", ") + what + " " + verb + " " + std::to_string(count) +
            " resource instances";
  }
  return text;
}

class NamespaceController : public client::Reconciler {
 public:
  std::string_view name() const override { return "namespace"; }

  void Setup(client::InformerSet& informers, Enqueue enqueue) override {
    namespaces_ = &informers.For<Namespace>();
    kinds_.emplace(informers);
    namespaces_->AddHandler([enqueue](const api::ObjectPtr& before, const api::ObjectPtr& after) {
      if (after && api::IsBeingDeleted(after->meta())) enqueue({"", after->name()});
    });
    for (const Collectables::Entry& entry : kinds_->all()) {
      if (!entry.kind->namespaced) continue;
      entry.informer->AddHandler(
          [this, enqueue](const api::ObjectPtr& before, const api::ObjectPtr& after) {
            const std::string& ns = after ? after->ns() : before->ns();
            api::ObjectPtr home = namespaces_->Get("", ns);
            if (home && api::IsBeingDeleted(home->meta())) enqueue({"", ns});
          });
    }
  }

  Result<Plan> Reconcile(const Key& key, WallTime now) override {
    Plan plan;
    api::Ref<Namespace> home = client::GetFrom<Namespace>(*namespaces_, "", key.name);
    if (!home || !api::IsBeingDeleted(home->metadata())) return plan;
    const auto& finalizers = home->spec().finalizers();
    if (std::find(finalizers.begin(), finalizers.end(), kFinalizer) == finalizers.end())
      return plan;

    std::map<std::string, int> remaining, held;
    const bool pods_left = DeleteContent(key.name, true, &plan, &remaining, &held);
    if (!pods_left) DeleteContent(key.name, false, &plan, &remaining, &held);
    WriteStatus(home, remaining, held, TakeFailures(key.name), now, &plan);
    if (!remaining.empty()) return plan;
    for (const Collectables::Entry& entry : kinds_->all()) {
      // The views must be at least as new as the deletion, after which nothing can be created here.
      if (entry.informer->revision() < home.revision())
        plan.look_again_at.push_back({entry.informer, home.revision()});
    }
    if (!plan.look_again_at.empty()) return plan;
    plan.actions.clear();  // the status would only be in the way of the end
    Namespace last = *home;
    last.mutable_spec()->clear_finalizers();
    for (const std::string& other : finalizers) {
      if (other != kFinalizer) last.mutable_spec()->add_finalizers(other);
    }
    client::Action finish = client::WriteAction(client::Action::Verb::kUpdate, std::move(last));
    finish.subresource = "finalize";
    plan.actions.push_back(std::move(finish));
    return plan;
  }

 private:
  // Asks for the deletion of what is not being deleted yet. True when anything was there.
  bool DeleteContent(const std::string& ns, bool pods, Plan* plan,
                     std::map<std::string, int>* remaining, std::map<std::string, int>* held) {
    bool any = false;
    for (const Collectables::Entry& entry : kinds_->all()) {
      if (!entry.kind->namespaced || (entry.kind->plural == "pods") != pods) continue;
      for (const api::ObjectPtr& object : entry.informer->List(ns)) {
        any = true;
        ++(*remaining)[std::string(entry.kind->plural) + "." + std::string(entry.kind->group)];
        for (const std::string& finalizer : object->meta().finalizers())
          ++(*held)[finalizer];
        if (api::IsBeingDeleted(object->meta())) continue;
        client::Action action;
        action.verb = client::Action::Verb::kDelete;
        action.kind = entry.kind;
        action.ns = ns;
        action.name = object->name();
        action.delete_options.uid = object->uid();
        action.delete_options.propagation_policy = "Background";
        action.independent = true;
        action.on_failure = [this, ns](const Status& failure) {
          absl::MutexLock lock(&mutex_);
          failures_[ns].insert(failure.message());
          return Plan();
        };
        plan->actions.push_back(std::move(action));
      }
    }
    return any;
  }

  static void WriteStatus(const api::Ref<Namespace>& home,
                          const std::map<std::string, int>& remaining,
                          const std::map<std::string, int>& held,
                          const std::set<std::string>& failures, WallTime now, Plan* plan) {
    NamespaceStatus status = home->status();
    SetCondition(&status, "NamespaceDeletionDiscoveryFailure", false, "ResourcesDiscovered",
                 "All resources successfully discovered", now);
    SetCondition(&status, "NamespaceDeletionGroupVersionParsingFailure", false,
                 "ParsedGroupVersions", "All legacy kube types successfully parsed", now);
    if (failures.empty()) {
      SetCondition(&status, "NamespaceDeletionContentFailure", false, "ContentDeleted",
                   "All content successfully deleted, may be waiting on finalization", now);
    } else {
      std::string list;
      for (const std::string& failure : failures)
        list += (list.empty() ? "" : ", ") + failure;
      SetCondition(&status, "NamespaceDeletionContentFailure", true, "ContentDeletionFailed",
                   "Failed to delete all resource types, " + std::to_string(failures.size()) +
                       " remaining: " + list,
                   now);
    }
    if (remaining.empty()) {
      SetCondition(&status, "NamespaceContentRemaining", false, "ContentRemoved",
                   "All content successfully removed", now);
    } else {
      SetCondition(&status, "NamespaceContentRemaining", true, "SomeResourcesRemain",
                   "Some resources are remaining: " + Joined(remaining, "has"), now);
    }
    if (held.empty()) {
      SetCondition(&status, "NamespaceFinalizersRemaining", false, "ContentHasNoFinalizers",
                   "All content-preserving finalizers finished", now);
    } else {
      SetCondition(&status, "NamespaceFinalizersRemaining", true, "SomeFinalizersRemain",
                   "Some content in the namespace has finalizers remaining: " + Joined(held, "in"),
                   now);
    }
    if (api::Same(status, home->status())) return;
    Namespace copy = *home;
    *copy.mutable_status() = std::move(status);
    plan->UpdateStatus(std::move(copy));
  }

  // What went wrong at the last try, for the status that the next one writes.
  std::set<std::string> TakeFailures(const std::string& ns) {
    absl::MutexLock lock(&mutex_);
    auto it = failures_.find(ns);
    if (it == failures_.end()) return {};
    std::set<std::string> taken = std::move(it->second);
    failures_.erase(it);
    return taken;
  }

  absl::Mutex mutex_;
  std::map<std::string, std::set<std::string>> failures_ ABSL_GUARDED_BY(mutex_);  // by namespace
  client::Informer* namespaces_ = nullptr;
  std::optional<Collectables> kinds_;
};

}  // namespace

std::unique_ptr<client::Reconciler> MakeNamespaceController() {
  return std::make_unique<NamespaceController>();
}

}  // namespace gantry::controllers
