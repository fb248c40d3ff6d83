#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "api/field_error.h"
#include "api/object.h"
#include "base/env/env.h"
#include "base/status.h"
#include "store/store.h"

namespace gantry::apiserver {

class Allocators;
struct UserInfo;

// What a strategy may look at while it prepares an object.
struct PrepareContext {
  Env& env;
  WallTime now;
  const UserInfo& user;
};

// How objects of one resource are written: the behaviour behind a row of the resource table.
// Functions may be null. They work on the stored kind. Threading: immutable; any thread.
struct Strategy {
  using Message = google::protobuf::Message;

  bool has_status =
      false;  // `status` is dropped on create, kept on update, written by the subresource
  bool status_on_create = false;  // what the client says of the status on create counts (nodes)
  bool has_generation =
      false;  // metadata.generation counts changes of everything but metadata and status
  bool status_keeps_labels = false;  // an update of the status leaves labels alone
  bool create_on_update = false;     // PUT of what is not there creates it
  bool needs_revision_on_update = false;
  bool returns_deleted = false;     // DELETE answers with the object, not with a Status
  bool graceful = false;            // deletion waits for a grace period (pods)
  bool orphans_by_default = false;  // dependents stay when the client says nothing
  int64_t ttl_seconds = 0;          // gone that long after the last write; 0: never
  std::span<const std::string_view>
      selectable_fields;  // beside metadata.name and metadata.namespace

  // On create, name, uid and creationTimestamp are set before.
  void (*prepare_create)(const PrepareContext& context, Message* object) = nullptr;
  void (*prepare_update)(const PrepareContext& context, Message* object,
                         const Message& old) = nullptr;
  void (*prepare_status)(const PrepareContext& context, Message* object,
                         const Message& old) = nullptr;

  // Claims what the object needs of the cluster (addresses, ports): writes that must be part of the
  // same commit, and what the object shows of them. Called before validation; `old` is null on
  // create. A field error becomes 422.
  Status (*allocate)(Allocators& allocators, Message* object, const Message* old,
                     std::vector<store::Write>* writes, api::FieldErrors* errors) = nullptr;
  // Gives them back when the object goes away.
  void (*release)(Allocators& allocators, const Message& old,
                  std::vector<store::Write>* writes) = nullptr;
};

const Strategy& StrategyOf(const api::KindInfo& kind);

}  // namespace gantry::apiserver
