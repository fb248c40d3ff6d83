#pragma once

#include <functional>
#include <string_view>
#include <vector>

#include "api/json_value.h"
#include "api/object.h"
#include "api/selector.h"
#include "client/informer.h"
#include "client/reconciler.h"

namespace gantry::controllers {

// Adds the indexes that ClaimOwned reads: objects by the uid of their controller, and those that
// have none by namespace.
void IndexByController(client::Informer& informer);

// Enqueues every object of `informer` when it comes, changes or goes.
void WatchAll(client::Informer& informer, client::Reconciler::Enqueue enqueue);

// Enqueues the controller (of kind `owner_kind`) of whatever object changed, before and after the
// change. An object without a controller wakes every owner in `owners` that `selects` says could
// adopt it.
void WatchOwned(client::Informer& informer, const api::KindInfo& owner_kind,
                client::Informer& owners,
                std::function<bool(const api::Object& owner, const api::Object& orphan)> selects,
                client::Reconciler::Enqueue enqueue);

// Whether the label selector in the spec of `owner`, an Owner, admits `object`. An empty one admits
// nothing, nor does one that cannot be read.
template <typename Owner>
bool Selects(const api::Object& owner, const api::Object& object) {
  Result<api::Selector> selector = api::Selector::From(owner.As<Owner>().spec().selector());
  return selector.ok() && !selector->empty() && selector->Matches(object.meta().labels());
}

// A merge patch of the object's metadata that fails when the object has changed, or its name been
// taken by another.
client::Action PatchMetadata(const api::Object& object, api::JsonValue metadata);
// One that gives it these owners and no others.
client::Action PatchOwners(const api::Object& object,
                           const std::vector<api::meta::v1::OwnerReference>& owners);

struct Claim {
  std::vector<api::ObjectPtr> owned;  // controlled and selected
  bool changed = false;               // the plan adopts or releases something: look again after it
};

// The objects that `owner` controls. Those that its selector no longer admits are released, orphans
// that it admits and `adoptable` accepts are adopted, by patches added to the plan. Nothing is
// adopted while the owner is being deleted, nor by an owner whose view (`owners`) is older than the
// orphan: it may have let go of it on its way out.
Claim ClaimOwned(const client::Informer& informer, client::Informer& owners,
                 const api::Object& owner, const api::Selector& selector,
                 const std::function<bool(const api::Object&)>& adoptable, client::Plan* plan);

}  // namespace gantry::controllers
