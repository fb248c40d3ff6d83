#include "controllers/ownership/ownership.h"

#include "api/owners.h"

namespace gantry::controllers {
namespace {

using api::meta::v1::OwnerReference;

constexpr std::string_view kByController = "controller-uid";
constexpr std::string_view kOrphans = "orphans-by-namespace";

client::Action Adopt(const api::Object& owner, const api::Object& object) {
  std::vector<OwnerReference> owners(object.meta().owner_references().begin(),
                                     object.meta().owner_references().end());
  owners.push_back(api::MakeControllerRef(owner.kind(), owner.meta()));
  return PatchOwners(object, owners);
}

client::Action Release(const api::Object& owner, const api::Object& object) {
  std::vector<OwnerReference> owners(object.meta().owner_references().begin(),
                                     object.meta().owner_references().end());
  std::erase_if(owners,
                [&](const OwnerReference& candidate) { return candidate.uid() == owner.uid(); });
  return PatchOwners(object, owners);
}

}  // namespace

client::Action PatchMetadata(const api::Object& object, api::JsonValue metadata) {
  metadata["uid"] = object.uid();
  metadata["resourceVersion"] = std::to_string(object.revision());
  client::Action action;
  action.verb = client::Action::Verb::kPatch;
  action.kind = &object.kind();
  action.ns = object.ns();
  action.name = object.name();
  api::JsonValue body = api::JsonValue::MakeObject();
  body["metadata"] = std::move(metadata);
  action.patch = body.ToString();
  return action;
}

client::Action PatchOwners(const api::Object& object, const std::vector<OwnerReference>& owners) {
  api::JsonValue list = api::JsonValue::MakeArray();
  for (const OwnerReference& owner : owners) {
    api::JsonValue entry = api::JsonValue::MakeObject();
    entry["apiVersion"] = owner.api_version();
    entry["kind"] = owner.kind();
    entry["name"] = owner.name();
    entry["uid"] = owner.uid();
    if (owner.has_controller()) entry["controller"] = owner.controller();
    if (owner.has_block_owner_deletion())
      entry["blockOwnerDeletion"] = owner.block_owner_deletion();
    list.as_array().push_back(std::move(entry));
  }
  api::JsonValue metadata = api::JsonValue::MakeObject();
  metadata["ownerReferences"] = std::move(list);
  return PatchMetadata(object, std::move(metadata));
}

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

void WatchAll(client::Informer& informer, client::Reconciler::Enqueue enqueue) {
  informer.AddHandler([enqueue](const api::ObjectPtr& before, const api::ObjectPtr& after) {
    const api::Object& object = after ? *after : *before;
    enqueue({object.ns(), object.name()});
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

Claim ClaimOwned(const client::Informer& informer, client::Informer& owners,
                 const api::Object& owner, const api::Selector& selector,
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
    claim.changed = true;
    if (owners.revision() < object->revision()) {
      plan->look_again_at.push_back({&owners, object->revision()});
    } else if (api::ObjectPtr now = owners.Get(owner.ns(), owner.name());
               now && now->uid() == owner.uid() && !api::IsBeingDeleted(now->meta())) {
      plan->actions.push_back(Adopt(owner, *object));
    }
  }
  return claim;
}

}  // namespace gantry::controllers
