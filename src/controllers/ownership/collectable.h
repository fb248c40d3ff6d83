#pragma once

#include <functional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "client/informer.h"
#include "client/reconciler.h"

namespace gantry::controllers {

// Informers of every stored kind, for the controllers that work on objects of any kind.
class Collectables {
 public:
  explicit Collectables(client::InformerSet& informers);

  struct Entry {
    const api::KindInfo* kind;
    client::Informer* informer;
  };
  const std::vector<Entry>& all() const { return entries_; }
  // Null for a kind that is not stored (or not known).
  const Entry* Find(std::string_view group_resource) const;
  const Entry* FindKind(std::string_view api_version, std::string_view kind) const;

  // Objects of any kind that name `owner_uid` among their owners.
  std::vector<api::ObjectPtr> Dependents(std::string_view owner_uid) const;

 private:
  std::vector<Entry> entries_;
};

// A work queue key for an object of any kind, and back.
client::Reconciler::Key KeyOf(const api::Object& object);
// The resource ("pods", "deployments.apps") and the name.
std::pair<std::string, std::string> SplitKey(const client::Reconciler::Key& key);

}  // namespace gantry::controllers
