#include "api/validation/volume.h"

#include <set>

#include "api/validation/meta.h"
#include "api/validation/resources.h"
#include "api/validation/storage_spec.h"
#include "api/validation/volume_plugins.h"

namespace gantry::api::validation {
namespace {

using core::v1::Volume;
using core::v1::VolumeSource;

constexpr char kBadMode[] = "must be a number between 0 and 0777 (octal), both inclusive";
constexpr char kDuplicatePaths[] = "conflicting duplicate paths";

template <class T>
void CheckDefaultMode(const Path& path, const T& source, Errors* errors) {
  if (source.has_default_mode() && (source.default_mode() < 0 || source.default_mode() > 0777)) {
    errors->Invalid(path.Child("defaultMode"), source.default_mode(), kBadMode);
  }
}

template <class T>
void CheckMode(const Path& path, const T& item, Errors* errors) {
  if (item.has_mode() && (item.mode() < 0 || item.mode() > 0777)) {
    errors->Invalid(path.Child("mode"), item.mode(), kBadMode);
  }
}

void CheckItems(const Path& path,
                const google::protobuf::RepeatedPtrField<core::v1::KeyToPath>& items,
                Errors* errors) {
  for (int i = 0; i < items.size(); ++i) {
    Path item = path.Index(i);
    CheckPresent(item.Child("key"), items[i].key(), errors);
    CheckPresent(item.Child("path"), items[i].path(), errors);
    CheckLocalNonReservedPath(item.Child("path"), items[i].path(), errors);
    CheckMode(item, items[i], errors);
  }
}

void CheckSecret(const Path& path, const core::v1::SecretVolumeSource& source, Errors* errors) {
  CheckPresent(path.Child("secretName"), source.secret_name(), errors);
  CheckDefaultMode(path, source, errors);
  CheckItems(path.Child("items"), source.items(), errors);
}

void CheckConfigMap(const Path& path, const core::v1::ConfigMapVolumeSource& source,
                    Errors* errors) {
  CheckPresent(path.Child("name"), source.local_object_reference().name(), errors);
  CheckDefaultMode(path, source, errors);
  CheckItems(path.Child("items"), source.items(), errors);
}

void CheckDownwardFile(const Path& path, const core::v1::DownwardAPIVolumeFile& file,
                       Errors* errors) {
  CheckPresent(path.Child("path"), file.path(), errors);
  CheckLocalNonReservedPath(path.Child("path"), file.path(), errors);
  if (file.has_field_ref()) {
    CheckFieldRef(path.Child("fieldRef"), file.field_ref(), true, errors);
    if (file.has_resource_field_ref()) {
      errors->Invalid(path, "resource",
                      "fieldRef and resourceFieldRef can not be specified simultaneously");
    }
  } else if (file.has_resource_field_ref()) {
    CheckResourceFieldRef(path.Child("resourceFieldRef"), file.resource_field_ref(), true, errors);
  } else {
    errors->Required(path, "one of fieldRef and resourceFieldRef is required");
  }
  CheckMode(path, file, errors);
}

void CheckDownward(const Path& path, const core::v1::DownwardAPIVolumeSource& source,
                   Errors* errors) {
  CheckDefaultMode(path, source, errors);
  for (const auto& file : source.items())
    CheckDownwardFile(path, file, errors);
}

// The sources of a projected volume; all of them write into one directory.
class ProjectedCheck {
 public:
  ProjectedCheck(const Path& path, Errors* errors) : path_(path), errors_(errors) {}

  void Source(const Path& path, const core::v1::VolumeProjection& source) {
    int found = source.has_secret() + source.has_config_map() + source.has_downward_api() +
                source.has_service_account_token() + source.has_cluster_trust_bundle() +
                source.has_pod_certificate();
    if (source.has_secret()) Keys(path.Child("secret"), source.secret());
    if (source.has_config_map()) Keys(path.Child("configMap"), source.config_map());
    if (source.has_downward_api()) {
      for (const auto& file : source.downward_api().items()) {
        CheckDownwardFile(path.Child("downwardAPI"), file, errors_);
        Claim(file.path(), file.path());
      }
    }
    if (source.has_service_account_token())
      Token(path.Child("serviceAccountToken"), source.service_account_token());
    if (source.has_cluster_trust_bundle())
      Bundle(path.Child("clusterTrustBundle"), source.cluster_trust_bundle());
    if (found > 1) errors_->Forbidden(path, "may not specify more than 1 volume type per source");
  }

 private:
  void Claim(const std::string& file, const std::string& shown) {
    if (!file.empty() && !files_.insert(file).second)
      errors_->Invalid(path_, shown, kDuplicatePaths);
  }

  template <class T>
  void Keys(const Path& path, const T& source) {
    const std::string& name = source.local_object_reference().name();
    CheckPresent(path.Child("name"), name, errors_);
    CheckItems(path.Child("items"), source.items(), errors_);
    for (const auto& item : source.items())
      Claim(item.path(), name);
  }

  void Token(const Path& path, const core::v1::ServiceAccountTokenProjection& token) {
    Path expiration = path.Child("expirationSeconds");
    if (token.expiration_seconds() < 600) {
      errors_->Invalid(expiration, token.expiration_seconds(),
                       "may not specify a duration less than 10 minutes");
    }
    if (token.expiration_seconds() > int64_t{1} << 32) {
      errors_->Invalid(expiration, token.expiration_seconds(),
                       "may not specify a duration larger than 2^32 seconds");
    }
    if (token.path().empty()) {
      errors_->Required(path_.Child("path"));
    } else {
      CheckLocalNonReservedPath(path_.Child("path"), token.path(), errors_);
    }
  }

  void Bundle(const Path& path, const core::v1::ClusterTrustBundleProjection& bundle) {
    if (bundle.has_name() && bundle.has_signer_name()) {
      errors_->Invalid(path, bundle, "only one of name and signerName may be used");
    } else if (bundle.has_name()) {
      if (bundle.name().empty())
        errors_->Required(path.Child("name"), "must be a valid object name");
      if (bundle.has_label_selector()) {
        errors_->Invalid(path.Child("labelSelector"), bundle.label_selector(),
                         "labelSelector must be unset if name is specified");
      }
    } else if (bundle.has_signer_name()) {
      if (bundle.signer_name().empty())
        errors_->Required(path.Child("signerName"), "must be a valid signer name");
      if (bundle.has_label_selector()) {
        CheckLabelSelector(path.Child("labelSelector"), bundle.label_selector(), errors_);
      }
    } else {
      errors_->Required(path, "either name or signerName must be specified");
    }
    CheckPresent(path.Child("path"), bundle.path(), errors_);
    CheckLocalNonReservedPath(path.Child("path"), bundle.path(), errors_);
    Claim(bundle.path(), bundle.path());
  }

  const Path& path_;
  Errors* errors_;
  std::set<std::string> files_;
};

void CheckProjected(const Path& path, const core::v1::ProjectedVolumeSource& source,
                    Errors* errors) {
  CheckDefaultMode(path, source, errors);
  ProjectedCheck check(path, errors);
  Path sources = path.Child("sources");
  for (int i = 0; i < source.sources_size(); ++i)
    check.Source(sources.Index(i), source.sources(i));
}

void CheckCsi(const Path& path, const core::v1::CSIVolumeSource& source, Errors* errors) {
  CheckCsiDriverName(path.Child("driver"), source.driver(), errors);
  if (!source.has_node_publish_secret_ref()) return;
  const std::string& name = source.node_publish_secret_ref().name();
  if (name.empty()) {
    errors->Required(path.Child("nodePublishSecretRef.name"));
  } else {
    CheckDns1123Subdomain(path.Child("name"), name, errors);
  }
}

void CheckEphemeral(const Path& path, const core::v1::EphemeralVolumeSource& source,
                    Errors* errors) {
  Path claim_template = path.Child("volumeClaimTemplate");
  if (!source.has_volume_claim_template()) {
    errors->Required(claim_template);
    return;
  }
  const auto& metadata = source.volume_claim_template().metadata();
  Path metadata_path = claim_template.Child("metadata");
  CheckAnnotations(metadata_path.Child("annotations"), metadata.annotations(), errors);
  CheckLabels(metadata_path.Child("labels"), metadata.labels(), errors);
  std::pair<bool, const char*> others[] = {
      {!metadata.name().empty(), "name"},
      {!metadata.generate_name().empty(), "generateName"},
      {!metadata.namespace_().empty(), "namespace"},
      {!metadata.finalizers().empty(), "finalizers"},
      {!metadata.owner_references().empty(), "ownerReferences"},
  };
  for (const auto& [set, name] : others) {
    if (set) errors->Forbidden(metadata_path.Child(name), "cannot be set");
  }
  CheckClaimSpec(claim_template.Child("spec"), source.volume_claim_template().spec(), errors);
}

void CheckGitRepo(const Path& path, const core::v1::GitRepoVolumeSource& source, Errors* errors) {
  CheckPresent(path.Child("repository"), source.repository(), errors);
  CheckLocalPath(path.Child("directory"), source.directory(), errors);
}

// A source that only must name one thing.
template <class T, const std::string& (T::*Get)() const>
auto Names(std::string_view field) {
  return [field](const Path& path, const T& source, Errors* errors) {
    CheckPresent(path.Child(field), (source.*Get)(), errors);
  };
}

void CheckSource(const Path& path, const Volume& volume, std::string_view pod_name, bool is_pod,
                 Errors* errors) {
  const VolumeSource& source = volume.volume_source();
  OneSource one(path, errors);
  one.Try(source.has_empty_dir(), "emptyDir", source.empty_dir(),
          [](const Path& at, const auto& s, Errors* e) {
            if (s.has_size_limit() && ToQuantity(s.size_limit()).Sign() < 0) {
              e->Forbidden(at.Child("sizeLimit"),
                           "SizeLimit field must be a valid resource quantity");
            }
          });
  one.Try(source.has_host_path(), "hostPath", source.host_path(),
          CheckHostPath<core::v1::HostPathVolumeSource>);
  one.Try(source.has_git_repo(), "gitRepo", source.git_repo(), CheckGitRepo);
  one.Try(
      source.has_gce_persistent_disk(), "gcePersistentDisk", source.gce_persistent_disk(),
      [](const Path& at, const auto& s, Errors* e) { CheckDisk(at, "pdName", s.pd_name(), s, e); });
  one.Try(source.has_aws_elastic_block_store(), "awsElasticBlockStore",
          source.aws_elastic_block_store(), [](const Path& at, const auto& s, Errors* e) {
            CheckDisk(at, "volumeID", s.volume_id(), s, e);
          });
  one.Try(source.has_secret(), "secret", source.secret(), CheckSecret);
  one.Try(source.has_nfs(), "nfs", source.nfs(), CheckNfs<core::v1::NFSVolumeSource>);
  one.Try(source.has_iscsi(), "iscsi", source.iscsi(), CheckIscsi<core::v1::ISCSIVolumeSource>);
  one.Try(source.has_glusterfs(), "glusterfs", source.glusterfs(),
          [](const Path& at, const auto& s, Errors* e) {
            CheckPresent(at.Child("endpoints"), s.endpoints(), e);
            CheckPresent(at.Child("path"), s.path(), e);
          });
  one.Try(source.has_flocker(), "flocker", source.flocker(),
          [](const Path& at, const auto& s, Errors* e) {
            if (s.dataset_name().empty() && s.dataset_uuid().empty()) {
              e->Required(at, "one of datasetName and datasetUUID is required");
            }
          });
  one.Try(source.has_persistent_volume_claim(), "persistentVolumeClaim",
          source.persistent_volume_claim(),
          Names<core::v1::PersistentVolumeClaimVolumeSource,
                &core::v1::PersistentVolumeClaimVolumeSource::claim_name>("claimName"));
  one.Try(source.has_rbd(), "rbd", source.rbd(), CheckRbd<core::v1::RBDVolumeSource>);
  one.Try(
      source.has_cinder(), "cinder", source.cinder(),
      Names<core::v1::CinderVolumeSource, &core::v1::CinderVolumeSource::volume_id>("volumeID"));
  one.Try(source.has_cephfs(), "cephfs", source.cephfs(),
          [](const Path& at, const auto& s, Errors* e) {
            if (s.monitors().empty()) e->Required(at.Child("monitors"));
          });
  one.Try(source.has_quobyte(), "quobyte", source.quobyte(),
          [](const Path& at, const auto& s, Errors* e) {
            if (s.registry().empty()) {
              e->Required(at.Child("registry"),
                          "must be a host:port pair or multiple pairs separated by commas");
            }
            CheckPresent(at.Child("volume"), s.volume(), e);
          });
  one.Try(source.has_downward_api(), "downwardAPI", source.downward_api(), CheckDownward);
  one.Try(source.has_fc(), "fc", source.fc(), CheckFc<core::v1::FCVolumeSource>);
  one.Try(source.has_flex_volume(), "flexVolume", source.flex_volume(),
          CheckFlex<core::v1::FlexVolumeSource>);
  one.Try(source.has_config_map(), "configMap", source.config_map(), CheckConfigMap);
  one.Try(source.has_azure_file(), "azureFile", source.azure_file(),
          [](const Path& at, const auto& s, Errors* e) {
            CheckPresent(at.Child("secretName"), s.secret_name(), e);
            CheckPresent(at.Child("shareName"), s.share_name(), e);
          });
  one.Try(source.has_vsphere_volume(), "vsphereVolume", source.vsphere_volume(),
          Names<core::v1::VsphereVirtualDiskVolumeSource,
                &core::v1::VsphereVirtualDiskVolumeSource::volume_path>("volumePath"));
  one.Try(source.has_photon_persistent_disk(), "photonPersistentDisk",
          source.photon_persistent_disk(),
          Names<core::v1::PhotonPersistentDiskVolumeSource,
                &core::v1::PhotonPersistentDiskVolumeSource::pd_id>("pdID"));
  one.Try(source.has_portworx_volume(), "portworxVolume", source.portworx_volume(),
          Names<core::v1::PortworxVolumeSource, &core::v1::PortworxVolumeSource::volume_id>(
              "volumeID"));
  one.Try(source.has_azure_disk(), "azureDisk", source.azure_disk(),
          CheckAzureDisk<core::v1::AzureDiskVolumeSource>);
  one.Try(source.has_storageos(), "storageos", source.storageos(),
          Names<core::v1::StorageOSVolumeSource, &core::v1::StorageOSVolumeSource::volume_name>(
              "volumeName"));
  one.Try(source.has_projected(), "projected", source.projected(), CheckProjected);
  one.Try(source.has_scale_io(), "scaleIO", source.scale_io(),
          [](const Path& at, const auto& s, Errors* e) {
            CheckPresent(at.Child("gateway"), s.gateway(), e);
            CheckPresent(at.Child("system"), s.system(), e);
            CheckPresent(at.Child("volumeName"), s.volume_name(), e);
          });
  one.Try(source.has_csi(), "csi", source.csi(), CheckCsi);
  one.Try(source.has_ephemeral(), "ephemeral", source.ephemeral(), CheckEphemeral);
  if (source.has_ephemeral() && !pod_name.empty() && !volume.name().empty()) {
    std::string claim = std::string(pod_name) + "-" + volume.name();
    for (const std::string& complaint : IsDns1123Subdomain(claim)) {
      errors->Invalid(path.Child("name"), volume.name(),
                      "PVC name \"" + claim + "\": " + complaint);
    }
  }
  one.Try(source.has_image(), "image", source.image(),
          [is_pod](const Path& at, const auto& s, Errors* e) {
            if (is_pod && s.reference().empty()) e->Required(at.Child("reference"));
            CheckEnum(at.Child("pullPolicy"), s.pull_policy(), {"Always", "IfNotPresent", "Never"},
                      e);
          });
  one.Done();
}

// "metadata.labels['app']" -> "metadata.labels" and "app".
bool SplitSubscript(std::string_view path, std::string_view* name, std::string_view* subscript) {
  size_t open = path.find("['");
  if (open == std::string_view::npos || !path.ends_with("']")) return false;
  *name = path.substr(0, open);
  *subscript = path.substr(open + 2, path.size() - open - 4);
  return !name->empty();
}

}  // namespace

VolumeMap CheckVolumes(const Path& path, const google::protobuf::RepeatedPtrField<Volume>& volumes,
                       std::string_view pod_name, bool is_pod, Errors* errors) {
  VolumeMap valid;
  std::set<std::string> created_claims;
  if (!pod_name.empty()) {
    for (const Volume& volume : volumes) {
      if (volume.volume_source().has_ephemeral())
        created_claims.insert(std::string(pod_name) + "-" + volume.name());
    }
  }
  for (int i = 0; i < volumes.size(); ++i) {
    const Volume& volume = volumes[i];
    Path item = path.Index(i);
    size_t mark = errors->size();
    CheckSource(item, volume, pod_name, is_pod, errors);
    if (volume.name().empty()) {
      errors->Required(item.Child("name"));
    } else {
      CheckDns1123Label(item.Child("name"), volume.name(), errors);
    }
    if (valid.contains(volume.name())) errors->Duplicate(item.Child("name"), volume.name());
    if (errors->size() == mark) valid[volume.name()] = &volume.volume_source();
    const std::string& claim = volume.volume_source().persistent_volume_claim().claim_name();
    if (!claim.empty() && created_claims.contains(claim)) {
      errors->Invalid(item.Child("persistentVolumeClaim.claimName"), claim,
                      "must not reference a PVC that gets created for an ephemeral volume");
    }
  }
  return valid;
}

void CheckFieldRef(const Path& path, const core::v1::ObjectFieldSelector& selector, bool in_volume,
                   Errors* errors) {
  if (selector.api_version().empty()) {
    errors->Required(path.Child("apiVersion"));
    return;
  }
  const std::string& field = selector.field_path();
  Path field_path = path.Child("fieldPath");
  if (field.empty()) {
    errors->Required(field_path);
    return;
  }
  auto unconvertible = [&](const std::string& reason) {
    errors->Invalid(field_path, field, "error converting fieldPath: " + reason);
  };
  if (selector.api_version() != "v1") {
    unconvertible("unsupported pod version: " + selector.api_version());
    return;
  }
  std::string_view name;
  std::string_view subscript;
  if (SplitSubscript(field, &name, &subscript)) {
    if (name != "metadata.annotations" && name != "metadata.labels") {
      unconvertible("field label does not support subscript: " + field);
      return;
    }
    std::string key(subscript);
    if (name == "metadata.annotations") {
      for (char& c : key)
        c = c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
    }
    CheckQualifiedName(path, key, errors);
    return;
  }
  static constexpr std::string_view kKnown[] = {
      "metadata.annotations", "metadata.labels", "metadata.name",      "metadata.namespace",
      "metadata.uid",         "spec.nodeName",   "spec.restartPolicy", "spec.serviceAccountName",
      "spec.schedulerName",   "status.phase",    "status.hostIP",      "status.hostIPs",
      "status.podIP",         "status.podIPs",   "spec.host"};
  if (!IsOneOf(field, kKnown)) {
    unconvertible("field label not supported: " + field);
    return;
  }
  static constexpr std::string_view kInVolume[] = {"metadata.annotations", "metadata.labels",
                                                   "metadata.name", "metadata.namespace",
                                                   "metadata.uid"};
  static constexpr std::string_view kInEnv[] = {"metadata.name",
                                                "metadata.namespace",
                                                "metadata.uid",
                                                "spec.nodeName",
                                                "spec.serviceAccountName",
                                                "status.hostIP",
                                                "status.hostIPs",
                                                "status.podIP",
                                                "status.podIPs"};
  std::string_view meant = field == "spec.host" ? "spec.nodeName" : std::string_view(field);
  if (in_volume && !IsOneOf(meant, kInVolume)) errors->NotSupported(field_path, meant, kInVolume);
  if (!in_volume && !IsOneOf(meant, kInEnv)) errors->NotSupported(field_path, meant, kInEnv);
}

void CheckResourceFieldRef(const Path& path, const core::v1::ResourceFieldSelector& selector,
                           bool in_volume, Errors* errors) {
  const std::string& resource = selector.resource();
  static constexpr std::string_view kKnown[] = {
      "limits.cpu",   "limits.ephemeral-storage",   "limits.memory",
      "requests.cpu", "requests.ephemeral-storage", "requests.memory"};
  bool huge_pages =
      resource.starts_with("limits.hugepages-") || resource.starts_with("requests.hugepages-");
  if (in_volume && selector.container_name().empty()) {
    errors->Required(path.Child("containerName"));
  } else if (resource.empty()) {
    errors->Required(path.Child("resource"));
  } else if (!IsOneOf(resource, kKnown) && !huge_pages) {
    errors->NotSupported(path.Child("resource"), resource, kKnown);
  }
  Quantity divisor = ToQuantity(selector.divisor());
  if (divisor.IsZero()) return;
  std::string text = divisor.ToString();
  auto unsupported = [&](const char* values, const char* what) {
    errors->Invalid(path.Child("divisor"), resource,
                    std::string("only divisor's values ") + values + " are supported with the " +
                        what + " resource");
  };
  if (resource.ends_with(".cpu")) {
    if (!IsOneOf(text, {"1m", "1"})) unsupported("1m and 1", "cpu");
    return;
  }
  constexpr char kSizes[] = "1, 1k, 1M, 1G, 1T, 1P, 1E, 1Ki, 1Mi, 1Gi, 1Ti, 1Pi, 1Ei";
  if (IsOneOf(text,
              {"1", "1k", "1M", "1G", "1T", "1P", "1E", "1Ki", "1Mi", "1Gi", "1Ti", "1Pi", "1Ei"}))
    return;
  if (resource.ends_with(".memory")) unsupported(kSizes, "memory");
  if (resource.ends_with(".ephemeral-storage")) unsupported(kSizes, "local ephemeral storage");
  if (huge_pages) unsupported(kSizes, "hugepages");
}

}  // namespace gantry::api::validation
