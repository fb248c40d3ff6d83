#include "controllers/ownership/collectable.h"

#include "api/meta/v1/object_meta.pb.h"

namespace gantry::controllers {
namespace {

constexpr char kByOwner[] = "owner-uid";

}  // namespace

Collectables::Collectables(client::InformerSet& informers) {
  for (const api::KindInfo& kind : api::AllKinds()) {
    if (kind.storage_prefix.empty() || kind.storage_kind != &kind) continue;
    client::Informer& informer = informers.For(kind);
    informer.AddIndex(kByOwner, [](const api::Object& object) {
      std::vector<std::string> owners;
      for (const auto& owner : object.meta().owner_references())
        owners.push_back(owner.uid());
      return owners;
    });
    entries_.push_back({&kind, &informer});
  }
}

const Collectables::Entry* Collectables::Find(std::string_view group_resource) const {
  for (const Entry& entry : entries_) {
    if (entry.kind->GroupResource() == group_resource) return &entry;
  }
  return nullptr;
}

const Collectables::Entry* Collectables::FindKind(std::string_view api_version,
                                                  std::string_view kind) const {
  const api::KindInfo* info = api::FindKindByApiVersion(api_version, kind);
  if (info == nullptr) return nullptr;
  if (info->storage_kind != nullptr) info = info->storage_kind;
  for (const Entry& entry : entries_) {
    if (entry.kind == info) return &entry;
  }
  return nullptr;
}

std::vector<api::ObjectPtr> Collectables::Dependents(std::string_view owner_uid) const {
  std::vector<api::ObjectPtr> dependents;
  for (const Entry& entry : entries_) {
    for (api::ObjectPtr& object : entry.informer->ByIndex(kByOwner, owner_uid)) {
      dependents.push_back(std::move(object));
    }
  }
  return dependents;
}

client::Reconciler::Key KeyOf(const api::Object& object) {
  return {object.ns(), object.kind().GroupResource() + "/" + object.name()};
}

std::pair<std::string, std::string> SplitKey(const client::Reconciler::Key& key) {
  const size_t slash = key.name.find('/');
  return {key.name.substr(0, slash), key.name.substr(slash + 1)};
}

}  // namespace gantry::controllers
