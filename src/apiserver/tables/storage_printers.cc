#include <string>

#include "api/core/v1/persistent_volume.pb.h"
#include "api/core/v1/persistent_volume_claim.pb.h"
#include "api/storage/v1/csi.pb.h"
#include "api/storage/v1/storage_class.pb.h"
#include "api/storage/v1/volume_attachment.pb.h"
#include "apiserver/tables/cell_text.h"
#include "apiserver/tables/printer.h"

namespace gantry::apiserver::tables {
namespace {

namespace core = api::core::v1;
namespace storage = api::storage::v1;

constexpr Column kClassName = Text("StorageClass", "Class that the volume comes from");
constexpr Column kAttributesClass =
    Text("VolumeAttributesClass", "Class of the volume's attributes");
constexpr Column kVolumeMode = Wide("VolumeMode", "File system or bare block device");
constexpr Column kCapacity = Text("Capacity", "Size of the volume");
constexpr Column kAccessModes = Text("Access Modes", "How the volume may be mounted");

template <class Modes>
std::string AccessModesText(const Modes& modes) {
  constexpr std::pair<std::string_view, std::string_view> kShort[] = {
      {"ReadWriteOnce", "RWO"},
      {"ReadOnlyMany", "ROX"},
      {"ReadWriteMany", "RWX"},
      {"ReadWriteOncePod", "RWOP"},
  };
  Strings out;
  for (const auto& [name, text] : kShort)
    for (const std::string& mode : modes)
      if (mode == name) {
        out.emplace_back(text);
        break;
      }
  return Join(out, ",");
}

template <class Quantities>
std::string StorageText(const Quantities& quantities) {
  auto found = quantities.find("storage");
  return found == quantities.end() ? "0" : found->second.string();
}

template <class T>
std::string StorageClassText(const T& object) {
  auto found = object.metadata().annotations().find("volume.beta.kubernetes.io/storage-class");
  return found == object.metadata().annotations().end() ? object.spec().storage_class_name()
                                                        : found->second;
}

template <class T>
std::string_view PhaseText(const T& object) {
  return object.metadata().has_deletion_timestamp() ? "Terminating"
                                                    : std::string_view(object.status().phase());
}

template <class Spec>
std::string_view AttributesClassText(const Spec& spec) {
  return spec.has_volume_attributes_class_name()
             ? std::string_view(spec.volume_attributes_class_name())
             : kUnset;
}

template <class Spec>
std::string_view ModeText(const Spec& spec) {
  return spec.has_volume_mode() ? std::string_view(spec.volume_mode()) : kUnset;
}

constexpr Column kVolume[] = {
    kName,
    kCapacity,
    kAccessModes,
    Text("Reclaim Policy", "What becomes of the volume after its claim"),
    Text("Status", "Whether the volume is bound"),
    Text("Claim", "Claim that the volume is bound to"),
    kClassName,
    kAttributesClass,
    Text("Reason", "Why the volume is in this state"),
    kAge,
    kVolumeMode,
};
void VolumeRow(const core::PersistentVolume& object, Cells& cells) {
  const core::PersistentVolumeSpec& spec = object.spec();
  cells.Add(object.metadata().name());
  cells.Add(StorageText(spec.capacity()));
  cells.Add(AccessModesText(spec.access_modes()));
  cells.Add(spec.persistent_volume_reclaim_policy());
  cells.Add(PhaseText(object));
  cells.Add(spec.has_claim_ref() ? spec.claim_ref().namespace_() + "/" + spec.claim_ref().name()
                                 : std::string());
  cells.Add(StorageClassText(object));
  cells.Add(AttributesClassText(spec));
  cells.Add(object.status().reason());
  cells.Age(object.metadata());
  cells.Add(ModeText(spec));
}

constexpr Column kClaim[] = {
    kName,
    Text("Status", "Whether the claim is bound"),
    Text("Volume", "Volume that the claim is bound to"),
    kCapacity,
    kAccessModes,
    kClassName,
    kAttributesClass,
    kAge,
    kVolumeMode,
};
void ClaimRow(const core::PersistentVolumeClaim& object, Cells& cells) {
  const core::PersistentVolumeClaimSpec& spec = object.spec();
  bool bound = !spec.volume_name().empty();
  cells.Add(object.metadata().name());
  cells.Add(PhaseText(object));
  cells.Add(spec.volume_name());
  cells.Add(bound ? StorageText(object.status().capacity()) : std::string());
  cells.Add(bound ? AccessModesText(object.status().access_modes()) : std::string());
  cells.Add(StorageClassText(object));
  cells.Add(AttributesClassText(spec));
  cells.Age(object.metadata());
  cells.Add(ModeText(spec));
}

constexpr Column kStorageClass[] = {
    kName,
    Text("Provisioner", "Who makes the volumes"),
    Text("ReclaimPolicy", "What becomes of a volume after its claim"),
    Text("VolumeBindingMode", "When a claim gets its volume"),
    Text("AllowVolumeExpansion", "Whether volumes can grow"),
    kAge,
};
bool IsDefaultClass(const storage::StorageClass& object) {
  for (const char* key : {"storageclass.kubernetes.io/is-default-class",
                          "storageclass.beta.kubernetes.io/is-default-class"}) {
    auto found = object.metadata().annotations().find(key);
    if (found != object.metadata().annotations().end() && found->second == "true") return true;
  }
  return false;
}
void StorageClassRow(const storage::StorageClass& object, Cells& cells) {
  cells.Add(object.metadata().name() + (IsDefaultClass(object) ? " (default)" : ""));
  cells.Add(object.provisioner());
  cells.Add(object.has_reclaim_policy() ? object.reclaim_policy() : "Delete");
  cells.Add(object.has_volume_binding_mode() ? object.volume_binding_mode() : "Immediate");
  cells.Add(object.allow_volume_expansion());
  cells.Age(object.metadata());
}

constexpr Column kAttributesClasses[] = {kName, Text("DriverName", "Driver that the class is for"),
                                         kAge};
void AttributesClassRow(const storage::VolumeAttributesClass& object, Cells& cells) {
  cells.Add(object.metadata().name());
  cells.Add(object.driver_name());
  cells.Age(object.metadata());
}

constexpr Column kAttachment[] = {
    kName,
    {"Attacher", "string", "name", "Driver that attaches the volume", 0},
    Text("PV", "Volume that is attached"),
    Text("Node", "Node that it is attached to"),
    Flag("Attached", "Whether it is attached"),
    kAge,
};
void AttachmentRow(const storage::VolumeAttachment& object, Cells& cells) {
  cells.Add(object.metadata().name());
  cells.Add(object.spec().attacher());
  cells.Add(object.spec().source().persistent_volume_name());
  cells.Add(object.spec().node_name());
  cells.Add(object.status().attached());
  cells.Age(object.metadata());
}

constexpr Column kCsiNode[] = {kName, Number("Drivers", "How many drivers the node has"), kAge};
void CsiNodeRow(const storage::CSINode& object, Cells& cells) {
  cells.Add(object.metadata().name());
  cells.Add(object.spec().drivers_size());
  cells.Age(object.metadata());
}

constexpr Column kCsiDriver[] = {
    kName,
    Flag("AttachRequired", "Whether volumes are attached before they are mounted"),
    Flag("PodInfoOnMount", "Whether the driver is told about the pod"),
    Flag("StorageCapacity", "Whether pods are placed by the capacity that is left"),
    Text("TokenRequests", "Audiences of the tokens that the driver gets"),
    Flag("RequiresRepublish", "Whether volumes are published again and again"),
    Text("Modes", "Life cycles of volumes that the driver knows"),
    kAge,
};
void CsiDriverRow(const storage::CSIDriver& object, Cells& cells) {
  const storage::CSIDriverSpec& spec = object.spec();
  Strings audiences;
  for (const storage::TokenRequest& request : spec.token_requests())
    audiences.push_back(request.audience());
  cells.Add(object.metadata().name());
  cells.Add(spec.has_attach_required() ? spec.attach_required() : true);
  cells.Add(spec.pod_info_on_mount());
  cells.Add(spec.storage_capacity());
  cells.Add(audiences.empty() ? std::string(kUnset) : Join(audiences, ","));
  cells.Add(spec.requires_republish());
  cells.Add(spec.volume_lifecycle_modes().empty() ? std::string(kNone)
                                                  : Join(spec.volume_lifecycle_modes(), ","));
  cells.Age(object.metadata());
}

constexpr Column kCsiCapacity[] = {
    kName,
    Text("StorageClassName", "Class that the capacity is of"),
    Text("Capacity", "What is left"),
};
void CsiCapacityRow(const storage::CSIStorageCapacity& object, Cells& cells) {
  cells.Add(object.metadata().name());
  cells.Add(object.storage_class_name());
  cells.Add(object.has_capacity() ? std::string_view(object.capacity().string()) : kUnset);
}

}  // namespace

std::span<const Printer> StoragePrinters() {
  static const Printer printers[] = {
      PrinterOf<core::PersistentVolume, VolumeRow>(kVolume),
      PrinterOf<core::PersistentVolumeClaim, ClaimRow>(kClaim),
      PrinterOf<storage::CSIDriver, CsiDriverRow>(kCsiDriver),
      PrinterOf<storage::CSINode, CsiNodeRow>(kCsiNode),
      PrinterOf<storage::CSIStorageCapacity, CsiCapacityRow>(kCsiCapacity),
      PrinterOf<storage::StorageClass, StorageClassRow>(kStorageClass),
      PrinterOf<storage::VolumeAttachment, AttachmentRow>(kAttachment),
      PrinterOf<storage::VolumeAttributesClass, AttributesClassRow>(kAttributesClasses),
  };
  return printers;
}

}  // namespace gantry::apiserver::tables
