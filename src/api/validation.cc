#include "api/validation.h"

#include <unordered_map>

#include "api/core/v1/pod.pb.h"
#include "api/kinds.h"
#include "api/validation/meta.h"
#include "api/validation/pod.h"
#include "api/validation/rules.h"

namespace gantry::api {
namespace {

using google::protobuf::FieldDescriptor;
using google::protobuf::Message;
using validation::Errors;
using validation::RuleRow;

using Table = std::unordered_map<const google::protobuf::Descriptor*, RuleRow>;

Table MakeTable() {
  using namespace validation;  // NOLINT: a table of its parts
  Table table;
  for (auto rules : {AddressRules, AppsRules, AutoscalingRules, BatchRules, ClusterRules, CoreRules,
                     ExtensionRules, NetworkRules, RbacRules, ServiceRules, StorageRules}) {
    for (const RuleRow& row : rules())
      table.emplace(row.type, row);
  }
  return table;
}

const RuleRow* FindRow(const Message& object) {
  static const Table table = MakeTable();
  auto row = table.find(object.GetDescriptor());
  return row == table.end() ? nullptr : &row->second;
}

// Metadata of any kind; null for those without.
const meta::v1::ObjectMeta* MetaOf(const Message& object) {
  const FieldDescriptor* field = object.GetDescriptor()->FindFieldByName("metadata");
  if (field == nullptr || field->message_type() != meta::v1::ObjectMeta::descriptor())
    return nullptr;
  return static_cast<const meta::v1::ObjectMeta*>(
      &object.GetReflection()->GetMessage(object, field));
}

}  // namespace

FieldErrors ValidateCreate(const KindInfo& kind, const Message& object) {
  Errors errors;
  if (const RuleRow* row = FindRow(object)) {
    row->create(object, &errors);
  } else if (const meta::v1::ObjectMeta* meta = MetaOf(object);
             meta != nullptr && !kind.storage_prefix.empty()) {
    validation::CheckMeta(*meta, kind.namespaced, validation::NameIsDns1123Subdomain, &errors);
  }
  return std::move(errors).Take();
}

FieldErrors ValidateUpdate(const KindInfo& kind, const Message& object, const Message& old) {
  Errors errors;
  if (const RuleRow* row = FindRow(object)) {
    row->update(object, old, &errors);
  } else if (const meta::v1::ObjectMeta* meta = MetaOf(object)) {
    validation::CheckMetaUpdate(*meta, *MetaOf(old), &errors);
  }
  return std::move(errors).Take();
}

FieldErrors ValidateStatusUpdate(const KindInfo& kind, const Message& object, const Message& old) {
  Errors errors;
  const RuleRow* row = FindRow(object);
  if (row != nullptr && row->status != nullptr) {
    row->status(object, old, &errors);
  } else if (const meta::v1::ObjectMeta* meta = MetaOf(object)) {
    validation::CheckMetaUpdate(*meta, *MetaOf(old), &errors);
  }
  return std::move(errors).Take();
}

FieldErrors ValidatePodEphemeralContainersUpdate(const Message& pod, const Message& old) {
  Errors errors;
  validation::CheckPodEphemeralUpdate(static_cast<const core::v1::Pod&>(pod),
                                      static_cast<const core::v1::Pod&>(old), &errors);
  return std::move(errors).Take();
}

FieldErrors ValidatePodResize(const Message& pod, const Message& old) {
  Errors errors;
  validation::CheckPodResize(static_cast<const core::v1::Pod&>(pod),
                             static_cast<const core::v1::Pod&>(old), &errors);
  return std::move(errors).Take();
}

}  // namespace gantry::api
