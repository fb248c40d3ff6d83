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
  std::string operation;  // "Apply" or "Update"
  std::string api_version;
  std::string subresource;
  WallTime time{};
  bool has_time = false;
  // FieldsV1 as it came; `fields` holds it decoded once `decoded` is set, and is then what counts.
  std::string raw;
  bool decoded = false;
  FieldSet fields;

  // Decodes on first need. What cannot be read counts as nothing.
  FieldSet& Fields();
  // Takes these paths out; does not decode what cannot have them.
  void Lose(const FieldSet& changed, const FieldSet& removed);
  bool empty() const { return decoded ? fields.empty() : raw.empty(); }

  bool applies() const { return operation == "Apply"; }
  // One manager has one entry for all versions it applies, and one for each version it updates.
  bool SameEntry(const Manager& other) const;
  // As conflicts name it: `"kubectl-client-side-apply" using apps/v1`.
  std::string Text() const;
};

using Managers = std::vector<Manager>;
using Entries = google::protobuf::RepeatedPtrField<api::meta::v1::ManagedFieldsEntry>;

// kBadRequest for entries that are not valid. FieldsV1 that also stands in `trusted` is not looked
// at.
Result<Managers> DecodeManagers(const Entries& entries, const Entries* trusted = nullptr);
// Sorted as Kubernetes sorts them; entries without fields are left out.
void EncodeManagers(Managers managers, Entries* out);

// At most this many entries of operation Update are kept; the oldest are merged into one per
// version.
inline constexpr size_t kMaxUpdateManagers = 10;
void CapUpdateManagers(Managers* managers);

// The entry that is `key`; null where there is none.
Manager* FindManager(Managers* managers, const Manager& key);

}  // namespace gantry::apiserver::apply
