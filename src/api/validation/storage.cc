#include <set>

#include "api/core/v1/persistent_volume.pb.h"
#include "api/core/v1/persistent_volume_claim.pb.h"
#include "api/storage/v1/csi.pb.h"
#include "api/storage/v1/storage_class.pb.h"
#include "api/storage/v1/volume_attachment.pb.h"
#include "api/validation/meta.h"
#include "api/validation/resources.h"
#include "api/validation/rules.h"
#include "api/validation/storage_spec.h"
#include "api/validation/volume_plugins.h"

namespace gantry::api::validation {
namespace {

using core::v1::PersistentVolume;
using core::v1::PersistentVolumeClaim;
using storage::v1::CSIDriver;
using storage::v1::CSINode;
using storage::v1::StorageClass;
using storage::v1::VolumeAttachment;

constexpr int kMaxParameters = 512;

void CreateVolume(const PersistentVolume& volume, Errors* errors) {
  CheckMeta(volume.metadata(), false, NameIsDns1123Subdomain, errors);
  CheckVolumeSpec(Path("spec"), volume.spec(), false, errors);
}

void UpdateVolume(const PersistentVolume& volume, const PersistentVolume& old, Errors* errors) {
  CheckMetaUpdate(volume.metadata(), old.metadata(), errors);
  CreateVolume(volume, errors);
  core::v1::PersistentVolumeSource source = volume.spec().persistent_volume_source();
  const core::v1::PersistentVolumeSource& before = old.spec().persistent_volume_source();
  // The secret for expansion may be added later.
  if (source.has_csi() && before.has_csi() && !before.csi().has_controller_expand_secret_ref()) {
    source.mutable_csi()->clear_controller_expand_secret_ref();
  }
  if (!SemanticEqual(source, before)) {
    errors->Forbidden(Path("spec.persistentvolumesource"),
                      "spec.persistentvolumesource is immutable after creation" +
                          DescribeDifference(before, source));
  }
  if (volume.spec().volume_mode() != old.spec().volume_mode()) {
    errors->Invalid(Path("volumeMode"), volume.spec().volume_mode(), kImmutable);
  }
  if (old.spec().has_node_affinity() &&
      !SemanticEqual(volume.spec().node_affinity(), old.spec().node_affinity())) {
    errors->Invalid(Path("nodeAffinity"), volume.spec().node_affinity(),
                    "field is immutable, except for updating from beta label to GA");
  }
  if (old.spec().has_volume_attributes_class_name() &&
      !volume.spec().has_volume_attributes_class_name()) {
    errors->Forbidden(Path("spec.volumeAttributesClassName"),
                      "update from non-nil value to nil is forbidden");
  }
}

void CreateClaim(const PersistentVolumeClaim& claim, Errors* errors) {
  CheckMeta(claim.metadata(), true, NameIsDns1123Subdomain, errors);
  CheckClaimSpec(Path("spec"), claim.spec(), errors);
}

void UpdateClaim(const PersistentVolumeClaim& claim, const PersistentVolumeClaim& old,
                 Errors* errors) {
  CheckMetaUpdate(claim.metadata(), old.metadata(), errors);
  CreateClaim(claim, errors);
  core::v1::PersistentVolumeClaimSpec rest = claim.spec();
  core::v1::PersistentVolumeClaimSpec before = old.spec();
  // The volume and the class may be chosen once; a bound claim may grow.
  if (before.volume_name().empty()) before.set_volume_name(rest.volume_name());
  if (!before.has_storage_class_name() && rest.has_storage_class_name())
    rest.clear_storage_class_name();
  if (claim.status().phase() == "Bound") {
    auto size = before.resources().requests().find("storage");
    if (size != before.resources().requests().end()) {
      (*rest.mutable_resources()->mutable_requests())["storage"] = size->second;
    }
    if (rest.has_volume_attributes_class_name()) {
      rest.clear_volume_attributes_class_name();
      if (before.has_volume_attributes_class_name()) {
        rest.set_volume_attributes_class_name(before.volume_attributes_class_name());
      }
    }
  }
  if (!SemanticEqual(rest, before)) {
    errors->Forbidden(Path("spec"),
                      "spec is immutable after creation except resources.requests and "
                      "volumeAttributesClassName for "
                      "bound claims" +
                          DescribeDifference(before, rest));
  }
  Quantity now = Amount(claim.spec().resources().requests(), "storage");
  Quantity then = Amount(old.spec().resources().requests(), "storage");
  if (now < then && now <= Amount(old.status().capacity(), "storage")) {
    errors->Forbidden(Path("spec.resources.requests.storage"),
                      "field can not be less than status.capacity");
  }
  if (claim.spec().volume_mode() != old.spec().volume_mode()) {
    errors->Invalid(Path("volumeMode"), claim.spec().volume_mode(), kImmutable);
  }
}

void UpdateClaimStatus(const PersistentVolumeClaim& claim, const PersistentVolumeClaim& old,
                       Errors* errors) {
  CheckMetaUpdate(claim.metadata(), old.metadata(), errors);
  if (claim.spec().access_modes().empty()) errors->Required(Path("Spec.accessModes"));
  Path capacity("status.capacity");
  size_t mark = errors->size();
  for (const auto& [name, quantity] : claim.status().capacity()) {
    CheckBasicQuantity(capacity.Key(name), quantity, errors);
  }
  errors->SortFrom(mark);
}

void CreateClass(const StorageClass& storage_class, Errors* errors) {
  CheckMeta(storage_class.metadata(), false, NameIsDns1123Subdomain, errors);
  Path provisioner("provisioner");
  if (storage_class.provisioner().empty()) {
    errors->Required(provisioner);
  } else {
    std::string lower = storage_class.provisioner();
    for (char& c : lower)
      c = c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
    errors->Complain(provisioner, storage_class.provisioner(), IsQualifiedName(lower));
  }
  Path parameters("parameters");
  if (storage_class.parameters().size() > kMaxParameters) {
    errors->TooLong(parameters, kMaxParameters);
  } else if (storage_class.parameters().contains("")) {
    errors->Invalid(parameters, "", "field can not be empty.");
  }
  if (!IsOneOf(storage_class.reclaim_policy(), {"Delete", "Retain"})) {
    errors->NotSupported(Path("reclaimPolicy"), storage_class.reclaim_policy(),
                         {"Delete", "Retain"});
  }
  CheckEnum(Path("volumeBindingMode"), storage_class.volume_binding_mode(),
            {"Immediate", "WaitForFirstConsumer"}, errors);
  Path topologies("allowedTopologies");
  for (int i = 0; i < storage_class.allowed_topologies_size(); ++i) {
    Path item = topologies.Index(i);
    Path expressions = item.Child("matchLabelExpressions");
    std::set<std::string_view> keys;
    for (int e = 0; e < storage_class.allowed_topologies(i).match_label_expressions_size(); ++e) {
      const auto& requirement = storage_class.allowed_topologies(i).match_label_expressions(e);
      Path expression = expressions.Index(e);
      Path values = expression.Child("values");
      if (requirement.values().empty()) errors->Required(values);
      std::set<std::string_view> seen;
      for (int v = 0; v < requirement.values_size(); ++v) {
        if (!seen.insert(requirement.values(v)).second)
          errors->Duplicate(values.Index(v), requirement.values(v));
      }
      CheckQualifiedName(expression.Child("key"), requirement.key(), errors);
      if (!keys.insert(requirement.key()).second)
        errors->Duplicate(expression.Child("key"), requirement.key());
    }
  }
}

void UpdateClass(const StorageClass& storage_class, const StorageClass& old, Errors* errors) {
  CheckMetaUpdate(storage_class.metadata(), old.metadata(), errors);
  auto same = [&](const char* name, bool equal) {
    if (!equal)
      errors->Forbidden(Path(name), std::string("updates to ") + name + " are forbidden.");
  };
  same("parameters", Equal(storage_class.parameters(), old.parameters()));
  same("provisioner", storage_class.provisioner() == old.provisioner());
  same("reclaimPolicy", storage_class.reclaim_policy() == old.reclaim_policy());
  if (storage_class.volume_binding_mode() != old.volume_binding_mode()) {
    errors->Invalid(Path("volumeBindingMode"), storage_class.volume_binding_mode(), kImmutable);
  }
}

void CreateDriver(const CSIDriver& driver, Errors* errors) {
  CheckMeta(driver.metadata(), false, NameIsDns1123Subdomain, errors);
  if (driver.metadata().name().size() > 63) errors->TooLong(Path("metadata.name"), 63);
  Path spec("spec");
  if (!driver.spec().has_attach_required()) errors->Required(spec.Child("attachedRequired"));
  if (!driver.spec().has_pod_info_on_mount()) errors->Required(spec.Child("podInfoOnMount"));
  if (!driver.spec().has_storage_capacity()) errors->Required(spec.Child("storageCapacity"));
  if (!IsOneOf(driver.spec().fs_group_policy(), {"File", "None", "ReadWriteOnceWithFSType"})) {
    errors->NotSupported(spec.Child("fsGroupPolicy"), driver.spec().fs_group_policy(),
                         {"File", "None", "ReadWriteOnceWithFSType"});
  }
  for (const std::string& mode : driver.spec().volume_lifecycle_modes()) {
    if (!IsOneOf(mode, {"Ephemeral", "Persistent"})) {
      errors->NotSupported(spec.Child("volumeLifecycleModes"), mode, {"Ephemeral", "Persistent"});
    }
  }
}

void UpdateDriver(const CSIDriver& driver, const CSIDriver& old, Errors* errors) {
  CheckMetaUpdate(driver.metadata(), old.metadata(), errors);
  CreateDriver(driver, errors);
  if (driver.spec().attach_required() != old.spec().attach_required()) {
    errors->Invalid(Path("spec.attachedRequired"), driver.spec().attach_required(), kImmutable);
  }
  if (!Equal(driver.spec().volume_lifecycle_modes(), old.spec().volume_lifecycle_modes())) {
    errors->Invalid(Path("spec.volumeLifecycleModes"), driver.spec().volume_lifecycle_modes(),
                    kImmutable);
  }
}

void CreateCsiNode(const CSINode& node, Errors* errors) {
  CheckMeta(node.metadata(), false, NameIsDns1123Subdomain, errors);
  Path drivers("spec.drivers");
  std::set<std::string_view> names;
  for (int i = 0; i < node.spec().drivers_size(); ++i) {
    const auto& driver = node.spec().drivers(i);
    Path item = drivers.Index(i);
    CheckCsiDriverName(item.Child("name"), driver.name(), errors);
    if (driver.node_id().empty()) errors->Required(item.Child("nodeID"));
    if (!names.insert(driver.name()).second) errors->Duplicate(item.Child("name"), driver.name());
    CheckNonnegative(item.Child("allocatable.count"), driver.allocatable().count(), errors);
    Path keys = item.Child("topologyKeys");
    for (int k = 0; k < driver.topology_keys_size(); ++k)
      CheckQualifiedName(keys, driver.topology_keys(k), errors);
  }
}

void UpdateCsiNode(const CSINode& node, const CSINode& old, Errors* errors) {
  CheckMetaUpdate(node.metadata(), old.metadata(), errors);
  CreateCsiNode(node, errors);
}

void CreateAttachment(const VolumeAttachment& attachment, Errors* errors) {
  CheckMeta(attachment.metadata(), false, NameIsDns1123Subdomain, errors);
  const auto& spec = attachment.spec();
  Path path("spec");
  CheckCsiDriverName(path.Child("attacher"), spec.attacher(), errors);
  Path source = path.Child("source");
  if (!spec.source().has_persistent_volume_name() && !spec.source().has_inline_volume_spec()) {
    errors->Required(source,
                     "must specify exactly one of inlineVolumeSpec and persistentVolumeName");
  } else if (spec.source().has_persistent_volume_name() && spec.source().has_inline_volume_spec()) {
    errors->Forbidden(source,
                      "must specify exactly one of inlineVolumeSpec and persistentVolumeName");
  } else if (spec.source().has_persistent_volume_name()) {
    if (spec.source().persistent_volume_name().empty()) {
      errors->Required(source.Child("persistentVolumeName"),
                       "must specify non empty persistentVolumeName");
    }
  } else {
    CheckVolumeSpec(source.Child("inlineVolumeSpec"), spec.source().inline_volume_spec(), true,
                    errors);
  }
  CheckDns1123Subdomain(path.Child("nodeName"), spec.node_name(), errors);
}

void UpdateAttachment(const VolumeAttachment& attachment, const VolumeAttachment& old,
                      Errors* errors) {
  CheckMetaUpdate(attachment.metadata(), old.metadata(), errors);
  CreateAttachment(attachment, errors);
  if (!SemanticEqual(attachment.spec(), old.spec()))
    errors->Invalid(Path("spec"), attachment.spec(), kImmutable);
}

}  // namespace

std::vector<RuleRow> StorageRules() {
  return {
      Row<CSIDriver, CreateDriver, UpdateDriver>(),
      Row<CSINode, CreateCsiNode, UpdateCsiNode>(),
      Row<PersistentVolume, CreateVolume, UpdateVolume>(),
      Row<PersistentVolumeClaim, CreateClaim, UpdateClaim, UpdateClaimStatus>(),
      Row<StorageClass, CreateClass, UpdateClass>(),
      Row<VolumeAttachment, CreateAttachment, UpdateAttachment>(),
  };
}

}  // namespace gantry::api::validation
