#pragma once

#include "api/core/v1/namespace.pb.h"
#include "api/owners.h"
#include "client/reconciler.h"

namespace gantry::controllers {

// Wakes with a namespace's name when the namespace or the object `name` of kind T in it changes.
template <class T>
void WatchOneInEachNamespace(client::Informer& namespaces, client::Informer& objects,
                             std::string name, client::Reconciler::Enqueue enqueue) {
  namespaces.AddHandler([enqueue](const api::ObjectPtr& before, const api::ObjectPtr& after) {
    if (after) enqueue({"", after->name()});
  });
  objects.AddHandler([enqueue, name](const api::ObjectPtr& before, const api::ObjectPtr& after) {
    const api::Object& object = after ? *after : *before;
    if (object.name() == name) enqueue({"", object.ns()});
  });
}

inline bool IsActiveNamespace(const client::Informer& namespaces, const std::string& name) {
  api::ObjectPtr found = namespaces.Get("", name);
  return found && !api::IsBeingDeleted(found->meta());
}

}  // namespace gantry::controllers
