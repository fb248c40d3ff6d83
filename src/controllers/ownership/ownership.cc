#include "controllers/ownership/ownership.h"

#include "api/owners.h"

namespace gantry::controllers {
namespace {

constexpr std::string_view kByController = "controller-uid";
constexpr std::string_view kOrphans = "orphans-by-namespace";

client::Action PatchOwners(const api::Object& object, std::string owner_references) {
  client::Action action;
  action.verb = client::Action::Verb::kPatch;
  action.kind = &object.kind();
  action.ns = object.ns();
  action.name = object.name();
  action.patch_type = client::PatchType::kStrategicMerge;
  action.patch = R"({"metadata":{"uid":")" + object.uid() + R"(","ownerReferences":[)" +
                 std::move(owner_references) + "]}}";
  return action;
}

client::Action Adopt(const api::Object& owner, const api::Object& object) {
  return PatchOwners(object, R"({"apiVersion":")" + owner.kind().ApiVersion() + R"(","kind":")" +
                                 std::string(owner.kind().kind) + R"(","name":")" + owner.name() +
                                 R"(","uid":")" + owner.uid() +
                                 R"(","controller":true,"blockOwnerDeletion":true})");
}

client::Action Release(const api::Object& owner, const api::Object& object) {
  return PatchOwners(object, R"({"$patch":"delete","uid":")" + owner.uid() + R"("})");
}

}  // namespace

void IndexByController(client::Informer& informer) {
  informer.AddIndex(std::string(kByController), [](const api::Object& object) {
    const api::meta::v1::OwnerReference* owner = api::ControllerOf(object.meta());
    return owner ? std::vector<std::string>{owner->uid()} : std::vector<std::string>();
  });
  informer.AddIndex(std::string(kOrphans), [](const api::Object& object) {
    return api::ControllerOf(object.meta()) ? std::vector<std::string>()
                                            : std::vector<std::string>{object.ns()};
  });
}

void WatchOwned(client::Informer& informer, const api::KindInfo& owner_kind,
                client::Informer& owners,
                std::function<bool(const api::Object&, const api::Object&)> selects,
                client::Reconciler::Enqueue enqueue) {
  auto wake = [&owner_kind, &owners, selects = std::move(selects), enqueue = std::move(enqueue)](
                  const api::Object& object, bool may_be_adopted) {
    if (const api::meta::v1::OwnerReference* owner = api::ControllerOf(object.meta())) {
      if (owner->kind() == owner_kind.kind) enqueue({object.ns(), owner->name()});
    } else if (may_be_adopted) {
      for (const api::ObjectPtr& candidate : owners.List(object.ns())) {
        if (selects(*candidate, object)) enqueue({candidate->ns(), candidate->name()});
      }
    }
  };
  informer.AddHandler([wake](const api::ObjectPtr& before, const api::ObjectPtr& after) {
    if (after) wake(*after, true);
    if (!before) return;
    const auto* old_owner = api::ControllerOf(before->meta());
    const auto* new_owner = after ? api::ControllerOf(after->meta()) : nullptr;
    const bool same = old_owner && new_owner && old_owner->uid() == new_owner->uid();
    if (!same) wake(*before, false);
  });
}

Claim ClaimOwned(const client::Informer& informer, const api::Object& owner,
                 const api::Selector& selector,
                 const std::function<bool(const api::Object&)>& adoptable, client::Plan* plan) {
  Claim claim;
  const bool deleting = api::IsBeingDeleted(owner.meta());
  for (const api::ObjectPtr& object : informer.ByIndex(kByController, owner.uid())) {
    if (selector.Matches(object->meta().labels())) {
      claim.owned.push_back(object);
    } else if (!deleting && !api::IsBeingDeleted(object->meta())) {
      plan->actions.push_back(Release(owner, *object));
      claim.changed = true;
    }
  }
  if (deleting) return claim;
  for (const api::ObjectPtr& object : informer.ByIndex(kOrphans, owner.ns())) {
    if (api::IsBeingDeleted(object->meta()) || !selector.Matches(object->meta().labels()) ||
        !adoptable(*object)) {
      continue;
    }
    plan->actions.push_back(Adopt(owner, *object));
    claim.changed = true;
  }
  return claim;
}

}  // namespace gantry::controllers
