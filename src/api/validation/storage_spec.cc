#include "api/validation/storage_spec.h"

#include "api/validation/meta.h"
#include "api/validation/resources.h"
#include "api/validation/scheduling.h"
#include "api/validation/volume_plugins.h"

namespace gantry::api::validation {
namespace {

constexpr std::string_view kAccessModes[] = {"ReadOnlyMany", "ReadWriteMany", "ReadWriteOnce",
                                             "ReadWriteOncePod"};

void CheckAccessModes(const Path& path, const Strings& modes, Errors* errors) {
  bool once_pod = false;
  bool others = false;
  for (const std::string& mode : modes) {
    if (!IsOneOf(mode, kAccessModes)) {
      errors->NotSupported(path, mode, kAccessModes);
    } else if (mode == "ReadWriteOncePod") {
      once_pod = true;
    } else {
      others = true;
    }
  }
  if (once_pod && others)
    errors->Forbidden(path, "may not use ReadWriteOncePod with other access modes");
}

void CheckVolumeMode(const Path& path, const std::string& mode, Errors* errors) {
  if (!IsOneOf(mode, {"Block", "Filesystem"}))
    errors->NotSupported(path, mode, {"Block", "Filesystem"});
}

template <class T>
void CheckDataSource(const Path& path, const T& source, Errors* errors) {
  CheckPresent(path.Child("name"), source.name(), errors);
  CheckPresent(path.Child("kind"), source.kind(), errors);
  if (source.api_group().empty()) {
    if (source.kind() != "PersistentVolumeClaim") {
      errors->Invalid(path, source.kind(),
                      "must be 'PersistentVolumeClaim' when referencing the default apiGroup");
    }
  } else {
    CheckDns1123Subdomain(path.Child("apiGroup"), source.api_group(), errors);
  }
}

void CheckSecretRef(const Path& path, const core::v1::SecretReference& secret, Errors* errors) {
  if (secret.name().empty()) {
    errors->Required(path.Child("name"));
  } else {
    CheckDns1123Subdomain(path.Child("name"), secret.name(), errors);
  }
  if (secret.namespace_().empty()) {
    errors->Required(path.Child("namespace"));
  } else {
    CheckDns1123Label(path.Child("namespace"), secret.namespace_(), errors);
  }
}

void CheckCsi(const Path& path, const core::v1::CSIPersistentVolumeSource& source, Errors* errors) {
  CheckCsiDriverName(path.Child("driver"), source.driver(), errors);
  CheckPresent(path.Child("volumeHandle"), source.volume_handle(), errors);
  if (source.has_controller_publish_secret_ref()) {
    CheckSecretRef(path.Child("controllerPublishSecretRef"), source.controller_publish_secret_ref(),
                   errors);
  }
  if (source.has_controller_expand_secret_ref()) {
    CheckSecretRef(path.Child("controllerExpandSecretRef"), source.controller_expand_secret_ref(),
                   errors);
  }
  if (source.has_node_publish_secret_ref()) {
    CheckSecretRef(path.Child("nodePublishSecretRef"), source.node_publish_secret_ref(), errors);
  }
  if (source.has_node_expand_secret_ref()) {
    CheckSecretRef(path.Child("nodeExpandSecretRef"), source.node_expand_secret_ref(), errors);
  }
}

void CheckVolumeSource(const Path& path, const core::v1::PersistentVolumeSpec& spec,
                       Errors* errors) {
  const auto& source = spec.persistent_volume_source();
  OneSource one(path, errors);
  one.Try(source.has_host_path(), "hostPath", source.host_path(),
          CheckHostPath<core::v1::HostPathVolumeSource>);
  one.Try(
      source.has_gce_persistent_disk(), "gcePersistentDisk", source.gce_persistent_disk(),
      [](const Path& at, const auto& s, Errors* e) { CheckDisk(at, "pdName", s.pd_name(), s, e); });
  one.Try(source.has_aws_elastic_block_store(), "awsElasticBlockStore",
          source.aws_elastic_block_store(), [](const Path& at, const auto& s, Errors* e) {
            CheckDisk(at, "volumeID", s.volume_id(), s, e);
          });
  one.Try(source.has_nfs(), "nfs", source.nfs(), CheckNfs<core::v1::NFSVolumeSource>);
  one.Try(source.has_rbd(), "rbd", source.rbd(), CheckRbd<core::v1::RBDPersistentVolumeSource>);
  one.Try(source.has_iscsi(), "iscsi", source.iscsi(),
          CheckIscsi<core::v1::ISCSIPersistentVolumeSource>);
  one.Try(source.has_cinder(), "cinder", source.cinder(),
          [](const Path& at, const auto& s, Errors* e) {
            CheckPresent(at.Child("volumeID"), s.volume_id(), e);
          });
  one.Try(source.has_cephfs(), "cephfs", source.cephfs(),
          [](const Path& at, const auto& s, Errors* e) {
            if (s.monitors().empty()) e->Required(at.Child("monitors"));
          });
  one.Try(source.has_fc(), "fc", source.fc(), CheckFc<core::v1::FCVolumeSource>);
  one.Try(source.has_flex_volume(), "flexVolume", source.flex_volume(),
          CheckFlex<core::v1::FlexPersistentVolumeSource>);
  one.Try(source.has_azure_file(), "azureFile", source.azure_file(),
          [](const Path& at, const auto& s, Errors* e) {
            CheckPresent(at.Child("secretName"), s.secret_name(), e);
            CheckPresent(at.Child("shareName"), s.share_name(), e);
          });
  one.Try(source.has_vsphere_volume(), "vsphereVolume", source.vsphere_volume(),
          [](const Path& at, const auto& s, Errors* e) {
            CheckPresent(at.Child("volumePath"), s.volume_path(), e);
          });
  one.Try(source.has_portworx_volume(), "portworxVolume", source.portworx_volume(),
          [](const Path& at, const auto& s, Errors* e) {
            CheckPresent(at.Child("volumeID"), s.volume_id(), e);
          });
  one.Try(source.has_azure_disk(), "azureDisk", source.azure_disk(),
          CheckAzureDisk<core::v1::AzureDiskVolumeSource>);
  one.Try(source.has_local(), "local", source.local(),
          [](const Path& at, const auto& s, Errors* e) {
            CheckPresent(at.Child("path"), s.path(), e);
            CheckNoBacksteps(at.Child("path"), s.path(), e);
          });
  if (source.has_local() && !spec.has_node_affinity()) {
    errors->Required(path.Child("nodeAffinity"), "Local volume requires node affinity");
  }
  one.Try(source.has_csi(), "csi", source.csi(), CheckCsi);
  // Types whose drivers are gone have no rules left.
  auto nothing = [](const Path&, const auto&, Errors*) {};
  one.Try(source.has_glusterfs(), "glusterfs", source.glusterfs(), nothing);
  one.Try(source.has_flocker(), "flocker", source.flocker(), nothing);
  one.Try(source.has_quobyte(), "quobyte", source.quobyte(), nothing);
  one.Try(source.has_photon_persistent_disk(), "photonPersistentDisk",
          source.photon_persistent_disk(), nothing);
  one.Try(source.has_scale_io(), "scaleIO", source.scale_io(), nothing);
  one.Try(source.has_storageos(), "storageos", source.storageos(), nothing);
  one.Done();
  if (source.host_path().path() == "/" && spec.persistent_volume_reclaim_policy() == "Recycle") {
    errors->Forbidden(path.Child("persistentVolumeReclaimPolicy"),
                      "may not be 'recycle' for a hostPath mount of '/'");
  }
}

void CheckCapacity(const Path& path, const QuantityMap& capacity, Errors* errors) {
  if (capacity.empty()) errors->Required(path);
  if (!capacity.contains("storage") || capacity.size() > 1)
    errors->NotSupported(path, capacity, {"storage"});
  size_t mark = errors->size();
  for (const auto& [name, quantity] : capacity) {
    Path item = path.Key(name);
    CheckBasicQuantity(item, quantity, errors);
    CheckPositive(item, quantity, errors);
  }
  errors->SortFrom(mark);
}

}  // namespace

void CheckClaimSpec(const Path& path, const core::v1::PersistentVolumeClaimSpec& spec,
                    Errors* errors) {
  Path modes = path.Child("accessModes");
  if (spec.access_modes().empty()) errors->Required(modes, "at least 1 access mode is required");
  if (spec.has_selector()) CheckLabelSelector(path.Child("selector"), spec.selector(), errors);
  CheckAccessModes(modes, spec.access_modes(), errors);
  Path storage = path.Child("resources[storage]");
  auto request = spec.resources().requests().find("storage");
  if (request == spec.resources().requests().end()) {
    errors->Required(storage);
  } else {
    CheckPositive(storage, request->second, errors);
  }
  if (!spec.storage_class_name().empty()) {
    CheckDns1123Subdomain(path.Child("storageClassName"), spec.storage_class_name(), errors);
  }
  if (spec.has_volume_mode()) CheckVolumeMode(path.Child("volumeMode"), spec.volume_mode(), errors);
  if (spec.has_data_source()) CheckDataSource(path.Child("dataSource"), spec.data_source(), errors);
  if (spec.has_data_source_ref()) {
    CheckDataSource(path.Child("dataSourceRef"), spec.data_source_ref(), errors);
    if (!spec.data_source_ref().namespace_().empty()) {
      CheckDns1123Label(path.Child("dataSourceRef.namespace"), spec.data_source_ref().namespace_(),
                        errors);
    }
  }
  if (spec.has_data_source() && spec.has_data_source_ref()) {
    const auto& source = spec.data_source();
    const auto& ref = spec.data_source_ref();
    std::string data_source = path.ToString() + ".dataSource";
    if (!ref.namespace_().empty()) {
      errors->Invalid(path, data_source,
                      "may not be specified when dataSourceRef.namespace is specified");
    } else if (source.api_group() != ref.api_group() || source.kind() != ref.kind() ||
               source.name() != ref.name()) {
      errors->Invalid(path, data_source, "must match dataSourceRef");
    }
  }
  if (!spec.volume_attributes_class_name().empty()) {
    CheckDns1123Subdomain(path.Child("volumeAttributesClassName"),
                          spec.volume_attributes_class_name(), errors);
  }
}

void CheckVolumeSpec(const Path& path, const core::v1::PersistentVolumeSpec& spec, bool inlined,
                     Errors* errors) {
  if (inlined) {
    constexpr char kNotInline[] = "may not be specified in the context of inline volumes";
    if (spec.has_claim_ref()) errors->Forbidden(path.Child("claimRef"), kNotInline);
    if (!spec.capacity().empty()) errors->Forbidden(path.Child("capacity"), kNotInline);
    if (!spec.persistent_volume_source().has_csi()) {
      errors->Required(path.Child("csi"), "has to be specified in the context of inline volumes");
    }
    if (spec.has_node_affinity()) errors->Forbidden(path.Child("nodeAffinity"), kNotInline);
    if (!spec.storage_class_name().empty())
      errors->Forbidden(path.Child("storageClassName"), kNotInline);
  }
  if (spec.access_modes().empty()) errors->Required(path.Child("accessModes"));
  CheckAccessModes(path.Child("accessModes"), spec.access_modes(), errors);
  if (!inlined) CheckCapacity(path.Child("capacity"), spec.capacity(), errors);
  const std::string& policy = spec.persistent_volume_reclaim_policy();
  if (!policy.empty() && !IsOneOf(policy, {"Delete", "Recycle", "Retain"})) {
    errors->NotSupported(path.Child("persistentVolumeReclaimPolicy"), policy,
                         {"Delete", "Recycle", "Retain"});
  }
  if (spec.has_node_affinity() && !inlined) {
    Path affinity = path.Child("nodeAffinity");
    if (spec.node_affinity().has_required()) {
      CheckNodeSelector(affinity.Child("required"), spec.node_affinity().required(), errors);
    } else {
      errors->Required(affinity.Child("required"), "must specify required node constraints");
    }
  }
  CheckVolumeSource(path, spec, errors);
  if (!spec.storage_class_name().empty() && !inlined) {
    CheckDns1123Subdomain(path.Child("storageClassName"), spec.storage_class_name(), errors);
  }
  if (spec.has_volume_mode()) CheckVolumeMode(path.Child("volumeMode"), spec.volume_mode(), errors);
  if (spec.has_volume_attributes_class_name()) {
    Path attributes = path.Child("volumeAttributesClassName");
    if (spec.volume_attributes_class_name().empty()) {
      errors->Required(attributes, "an empty string is disallowed");
    } else {
      CheckDns1123Subdomain(attributes, spec.volume_attributes_class_name(), errors);
    }
    if (!spec.persistent_volume_source().has_csi()) {
      errors->Required(path.Child("csi"),
                       "has to be specified when using volumeAttributesClassName");
    }
  }
}

}  // namespace gantry::api::validation
