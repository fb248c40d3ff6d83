#pragma once

#include <string>
#include <string_view>
#include <vector>

#include <google/protobuf/repeated_field.h>

#include "api/meta/v1/object_meta.pb.h"
#include "apiserver/apply/field_set.h"
#include "base/env/time.h"

namespace gantry::apiserver::apply {

// Who owns fields of an object: metadata.managedFields, decoded. Threading: a value.
struct Manager {
  std::string name;
  std::string operation;    // "Apply" or "Update"
  std::string api_version;
  std::string subresource;
  WallTime time{};
  bool has_time = false;
  FieldSet fields;

  bool applies() const { return operation == "Apply"; }
  // One manager has one entry for all versions it applies, and one for each version it updates.
  bool SameEntry(const Manager& other) const;
  // As conflicts name it: `"kubectl-client-side-apply" using apps/v1`.
  std::string Text() const;
};

using Managers = std::vector<Manager>;
using Entries = google::protobuf::RepeatedPtrField<api::meta::v1::ManagedFieldsEntry>;

Result<Managers> DecodeManagers(const Entries& entries);
// Sorted as Kubernetes sorts them; entries without fields are left out.
void EncodeManagers(Managers managers, Entries* out);

// At most this many entries of operation Update are kept; the oldest are merged into one per version.
inline constexpr size_t kMaxUpdateManagers = 10;
void CapUpdateManagers(Managers* managers);

// The entry that is `key`; null where there is none.
Manager* FindManager(Managers* managers, const Manager& key);

}  // namespace gantry::apiserver::apply
