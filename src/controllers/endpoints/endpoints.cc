#include <algorithm>
#include <map>
#include <optional>
#include <vector>

#include "api/core/v1/endpoints.pb.h"
#include "api/owners.h"
#include "api/pods.h"
#include "api/same.h"
#include "controllers/endpoints/endpointslice.h"
#include "controllers/endpoints/service_pods.h"
#include "controllers/endpoints/slices.h"

namespace gantry::controllers {
namespace {

using api::core::v1::EndpointAddress;
using api::core::v1::EndpointPort;
using api::core::v1::Endpoints;
using api::core::v1::EndpointSubset;
using api::core::v1::Pod;
using api::core::v1::Service;
using client::Plan;

constexpr int kMaxAddresses = 1000;
constexpr char kManagedBy[] = "endpoints.kubernetes.io/managed-by";
constexpr char kOverCapacity[] = "endpoints.kubernetes.io/over-capacity";

class EndpointsController : public client::Reconciler {
 public:
  std::string_view name() const override { return "endpoint"; }

  void Setup(client::InformerSet& informers, Enqueue enqueue) override {
    services_ = &informers.For<Service>();
    pods_ = &informers.For<Pod>();
    endpoints_ = &informers.For<Endpoints>();
    WatchServicePods(*services_, *pods_, enqueue);
    // Endpoints may be there before their service, and are nobody's business until then.
    endpoints_->AddHandler(
        [this, enqueue](const api::ObjectPtr& before, const api::ObjectPtr& after) {
          const api::Object& object = after ? *after : *before;
          if (IsOurs(object.meta()) || services_->Get(object.ns(), object.name())) {
            enqueue({object.ns(), object.name()});
          }
        });
  }

  Result<Plan> Reconcile(const Key& key, WallTime now) override {
    Plan plan;
    api::Ref<Service> service = client::GetFrom<Service>(*services_, key.ns, key.name);
    api::Ref<Endpoints> existing = client::GetFrom<Endpoints>(*endpoints_, key.ns, key.name);
    if (!service) {
      if (existing) plan.Delete(*existing);
      return plan;
    }
    if (service->spec().selector().empty() || service->spec().type() == "ExternalName") return plan;

    Endpoints next;
    if (existing) next = *existing;
    next.mutable_metadata()->set_name(key.name);
    next.mutable_metadata()->set_namespace_(key.ns);
    auto& labels = *next.mutable_metadata()->mutable_labels();
    labels = service->metadata().labels();
    labels[kManagedBy] = "endpoint-controller";
    SetHeadlessLabel(*service, &labels);
    next.clear_subsets();
    next.mutable_metadata()->mutable_annotations()->erase(kOverCapacity);
    const std::vector<api::Ref<Pod>> pods = PodsOf(*pods_, *service);
    FillSubsets(*service, pods, &next);
    if (existing && Unchanged(next, *existing)) return plan;
    SetTriggerTime(LastChange(*service, pods), next.mutable_metadata());
    if (!existing) {
      plan.Create(std::move(next));
      plan.actions.back().tolerate_exists = true;
    } else {
      plan.Update(std::move(next));
    }
    return plan;
  }

 private:
  static bool IsOurs(const api::meta::v1::ObjectMeta& meta) {
    return meta.labels().contains(kManagedBy);
  }

  static bool Unchanged(const Endpoints& a, const Endpoints& b) {
    return api::SameList(a.subsets(), b.subsets()) &&
           api::SameMap(a.metadata().labels(), b.metadata().labels()) &&
           a.metadata().annotations().contains(kOverCapacity) ==
               b.metadata().annotations().contains(kOverCapacity);
  }

  static std::optional<EndpointAddress> AddressOf(const Service& service, const Pod& pod,
                                                  const std::string& family) {
    // A pod that is leaving has no place here: this API cannot say "terminating".
    if (api::IsBeingDeleted(pod.metadata()) && !service.spec().publish_not_ready_addresses())
      return std::nullopt;
    EndpointAddress address;
    address.set_ip(PodAddress(pod, family));
    if (address.ip().empty()) return std::nullopt;
    if (!pod.spec().node_name().empty()) address.set_node_name(pod.spec().node_name());
    if (std::string hostname = EndpointHostname(pod, service); !hostname.empty()) {
      address.set_hostname(std::move(hostname));
    }
    auto* target = address.mutable_target_ref();
    target->set_kind("Pod");
    target->set_namespace_(pod.metadata().namespace_());
    target->set_name(pod.metadata().name());
    target->set_uid(pod.metadata().uid());
    return address;
  }

  static EndpointSubset PortsOf(const Service& service, const Pod& pod) {
    EndpointSubset ports;
    for (const auto& port : service.spec().ports()) {
      std::optional<int32_t> number = TargetPort(port, pod);
      if (!number) continue;
      EndpointPort* added = ports.add_ports();
      added->set_name(port.name());
      added->set_port(*number);
      added->set_protocol(port.protocol().empty() ? "TCP" : port.protocol());
      if (port.has_app_protocol()) added->set_app_protocol(port.app_protocol());
    }
    return ports;
  }

  static void FillSubsets(const Service& service, const std::vector<api::Ref<Pod>>& pods,
                          Endpoints* out) {
    const std::string family =
        service.spec().ip_families_size() > 0 ? service.spec().ip_families(0) : "IPv4";
    std::map<std::string, EndpointSubset> by_ports;
    int count = 0;
    // Where there is no room for all, those that are ready come first.
    for (const bool ready : {true, false}) {
      for (const api::Ref<Pod>& pod : pods) {
        if (ready != (api::IsReady(*pod) || service.spec().publish_not_ready_addresses())) continue;
        std::optional<EndpointAddress> address = AddressOf(service, *pod, family);
        const EndpointSubset ports = PortsOf(service, *pod);
        // Where none of the service's ports leads into the pod, there is nothing to connect to.
        if (!address || (service.spec().ports_size() > 0 && ports.ports_size() == 0)) continue;
        if (++count > kMaxAddresses) {
          (*out->mutable_metadata()->mutable_annotations())[kOverCapacity] = "truncated";
          break;
        }
        EndpointSubset& subset =
            by_ports.try_emplace(ports.SerializeAsString(), ports).first->second;
        *(ready ? subset.add_addresses() : subset.add_not_ready_addresses()) = *std::move(address);
      }
    }
    for (auto& [key, subset] : by_ports) {
      for (auto* addresses : {subset.mutable_addresses(), subset.mutable_not_ready_addresses()}) {
        std::sort(addresses->begin(), addresses->end(),
                  [](const auto& a, const auto& b) { return a.ip() < b.ip(); });
      }
      *out->add_subsets() = std::move(subset);
    }
  }

  client::Informer* services_ = nullptr;
  client::Informer* pods_ = nullptr;
  client::Informer* endpoints_ = nullptr;
};

}  // namespace

std::unique_ptr<client::Reconciler> MakeEndpointsController() {
  return std::make_unique<EndpointsController>();
}

}  // namespace gantry::controllers
