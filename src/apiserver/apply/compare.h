#pragma once

#include <atomic>
#include <memory>
#include <string>
#include <vector>

#include <google/protobuf/message.h>

#include "api/schema.h"
#include "apiserver/apply/field_set.h"

namespace gantry::apiserver::apply {

class Plan;

// A member of an object as ownership sees it.
struct PlanMember {
  enum class Shape { kLeaf, kObject, kMap, kSetList, kMapList };

  const api::FieldSchema* field = nullptr;
  std::string element;  // "f:name"
  std::string json;     // the same as the name of a JSON member: `"f:name":`
  Shape shape = Shape::kLeaf;
  std::vector<const api::FieldSchema*> keys;  // of kMapList, sorted by name
  bool atomic_items = false;                  // of kMapList

  // How the object, or an item of the list, goes on. Only for kObject and kMapList.
  const Plan& child() const;

 private:
  mutable std::atomic<const Plan*> child_{nullptr};
};

// The members of one message type in the order of FieldSet, made on first need and kept. Threading:
// immutable, any thread.
class Plan {
 public:
  static const Plan& Of(const api::MessageSchema& schema);

  std::span<const std::unique_ptr<PlanMember>> members() const { return members_; }
  const PlanMember* Find(std::string_view name) const;

 private:
  explicit Plan(const api::MessageSchema& schema);
  std::vector<std::unique_ptr<PlanMember>> members_;
};

// What differs between two versions of an object.
struct Comparison {
  FieldSet changed;  // added, or with another value
  FieldSet removed;  // each with all that is below it
};

// The FieldsV1 of a new object, as Compare would find it against an empty one, straight as JSON;
// empty where it has none.
std::string FieldsOfNew(const google::protobuf::Message& object, std::string_view ignored_member);

// Compares two objects of one type. Fields that only the server sets (metadata.uid, managedFields
// and the like) and the top-level member `ignored_member` are left out.
Comparison Compare(const google::protobuf::Message& before, const google::protobuf::Message& after,
                   std::string_view ignored_member);

// True for the fields that nobody owns: the top-level members apiVersion and kind, and these of
// metadata.
bool IsServerField(std::string_view metadata_member);

}  // namespace gantry::apiserver::apply
