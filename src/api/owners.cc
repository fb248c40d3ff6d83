#include "api/owners.h"

namespace gantry::api {

const meta::v1::OwnerReference* ControllerOf(const meta::v1::ObjectMeta& meta) {
  for (const meta::v1::OwnerReference& owner : meta.owner_references()) {
    if (owner.controller()) return &owner;
  }
  return nullptr;
}

bool IsControlledBy(const meta::v1::ObjectMeta& meta, std::string_view owner_uid) {
  const meta::v1::OwnerReference* owner = ControllerOf(meta);
  return owner != nullptr && owner->uid() == owner_uid;
}

meta::v1::OwnerReference MakeControllerRef(const KindInfo& kind,
                                           const meta::v1::ObjectMeta& owner) {
  meta::v1::OwnerReference reference;
  reference.set_api_version(kind.ApiVersion());
  reference.set_kind(std::string(kind.kind));
  reference.set_name(owner.name());
  reference.set_uid(owner.uid());
  reference.set_controller(true);
  reference.set_block_owner_deletion(true);
  return reference;
}

}  // namespace gantry::api
