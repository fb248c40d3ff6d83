#include "node/node_object.h"

#include <google/protobuf/util/message_differencer.h>

#include <algorithm>

#include "api/core/v1/node_status.pb.h"
#include "api/duration.h"

namespace gantry::node {
namespace {

using api::core::v1::Node;
using api::core::v1::NodeCondition;

constexpr int kMaxPods = 110;
constexpr int kMaxImages = 50;
constexpr int64_t kMemoryPressure = 100 << 20;
// Disk pressure below this share of free space.
constexpr double kDiskPressure = 0.10;

void SetCondition(Node* node, const Node& before, const std::string& type, bool value,
                  const std::string& reason, const std::string& message, WallTime now) {
  NodeCondition* condition = node->mutable_status()->add_conditions();
  condition->set_type(type);
  condition->set_status(value ? "True" : "False");
  condition->set_reason(reason);
  condition->set_message(message);
  api::SetTime(now, condition->mutable_last_heartbeat_time());
  api::SetTime(now, condition->mutable_last_transition_time());
  for (const NodeCondition& old : before.status().conditions()) {
    if (old.type() == type && old.status() == condition->status()) {
      *condition->mutable_last_transition_time() = old.last_transition_time();
    }
  }
}

std::string Kibibytes(int64_t bytes) { return std::to_string(bytes / 1024) + "Ki"; }

}  // namespace

void SetNodeLabels(const NodeInputs& in, Node* node) {
  auto& labels = *node->mutable_metadata()->mutable_labels();
  labels["kubernetes.io/hostname"] = in.name;
  labels["kubernetes.io/os"] = "linux";
  labels["kubernetes.io/arch"] = in.machine.architecture;
  labels["beta.kubernetes.io/os"] = "linux";
  labels["beta.kubernetes.io/arch"] = in.machine.architecture;
}

void SetNodeStatus(const NodeInputs& in, Node* node) {
  Node before = *node;
  auto* status = node->mutable_status();
  auto set = [](auto* list, const std::string& name, const std::string& value) {
    (*list)[name].set_string(value);
  };
  status->clear_capacity();
  status->clear_allocatable();
  for (auto* list : {status->mutable_capacity(), status->mutable_allocatable()}) {
    set(list, "cpu", std::to_string(in.machine.cpus));
    set(list, "memory", Kibibytes(in.machine.memory_bytes));
    set(list, "pods", std::to_string(kMaxPods));
    set(list, "hugepages-1Gi", "0");
    set(list, "hugepages-2Mi", "0");
  }
  set(status->mutable_capacity(), "ephemeral-storage", Kibibytes(in.machine.disk_bytes));
  // As the kubelet's default eviction thresholds leave it.
  set(status->mutable_allocatable(), "memory",
      Kibibytes(std::max<int64_t>(0, in.machine.memory_bytes - kMemoryPressure)));
  set(status->mutable_allocatable(), "ephemeral-storage",
      std::to_string(
          static_cast<int64_t>(static_cast<double>(in.machine.disk_bytes) * (1 - kDiskPressure))));

  status->clear_conditions();
  double free_share = in.machine.disk_bytes > 0 ? static_cast<double>(in.machine.disk_free_bytes) /
                                                      static_cast<double>(in.machine.disk_bytes)
                                                : 1;
  bool disk_pressure = free_share < kDiskPressure;
  SetCondition(node, before, "MemoryPressure", false, "KubeletHasSufficientMemory",
               "kubelet has sufficient memory available", in.now);
  SetCondition(node, before, "DiskPressure", disk_pressure,
               disk_pressure ? "KubeletHasDiskPressure" : "KubeletHasNoDiskPressure",
               disk_pressure ? "kubelet has disk pressure" : "kubelet has no disk pressure",
               in.now);
  SetCondition(node, before, "PIDPressure", false, "KubeletHasSufficientPID",
               "kubelet has sufficient PID available", in.now);
  bool ready = in.network_not_ready.empty();
  SetCondition(node, before, "Ready", ready, ready ? "KubeletReady" : "KubeletNotReady",
               ready ? "kubelet is posting ready status"
                     : "container runtime network not ready: NetworkReady=false "
                       "reason:NetworkPluginNotReady message:" +
                           in.network_not_ready,
               in.now);
  // What others report about the node stays.
  for (const NodeCondition& old : before.status().conditions()) {
    bool ours = std::any_of(status->conditions().begin(), status->conditions().end(),
                            [&](const NodeCondition& c) { return c.type() == old.type(); });
    if (!ours) *status->add_conditions() = old;
  }

  status->clear_addresses();
  for (const std::string& ip : in.ips) {
    auto* internal = status->add_addresses();
    internal->set_type("InternalIP");
    internal->set_address(ip);
  }
  auto* hostname = status->add_addresses();
  hostname->set_type("Hostname");
  hostname->set_address(in.name);

  auto* info = status->mutable_node_info();
  info->set_machine_id(in.machine.machine_id);
  info->set_system_uuid(in.machine.system_uuid);
  info->set_boot_id(in.machine.boot_id);
  info->set_kernel_version(in.machine.kernel_version);
  info->set_os_image(in.machine.os_image);
  info->set_container_runtime_version(in.runtime_version);
  info->set_kubelet_version(kKubeletVersion);
  info->set_kube_proxy_version(kKubeletVersion);
  info->set_operating_system("linux");
  info->set_architecture(in.machine.architecture);

  status->clear_images();
  std::vector<ImagePtr> images = in.images;
  std::sort(images.begin(), images.end(), [](const ImagePtr& a, const ImagePtr& b) {
    return a->size != b->size ? a->size > b->size : a->id < b->id;
  });
  for (size_t i = 0; i < images.size() && i < kMaxImages; ++i) {
    auto* image = status->add_images();
    for (const std::string& digest : images[i]->repo_digests)
      image->add_names(digest);
    for (const std::string& tag : images[i]->repo_tags)
      image->add_names(tag);
    image->set_size_bytes(images[i]->size);
  }
}

bool NodeStatusChanged(const Node& before, const Node& after) {
  auto plain = [](const Node& node) {
    api::core::v1::NodeStatus status = node.status();
    for (auto& condition : *status.mutable_conditions())
      condition.clear_last_heartbeat_time();
    return status;
  };
  return !google::protobuf::util::MessageDifferencer::Equals(plain(before), plain(after));
}

}  // namespace gantry::node
