#include "controllers/endpoints/endpointslice.h"

#include <algorithm>
#include <map>

#include "api/core/v1/node.pb.h"
#include "api/owners.h"
#include "api/pods.h"
#include "controllers/endpoints/hints.h"
#include "controllers/endpoints/service_pods.h"
#include "controllers/endpoints/slices.h"
#include "controllers/node/pods_by_node.h"

namespace gantry::controllers {
namespace {

using api::core::v1::Node;
using api::core::v1::Pod;
using api::core::v1::Service;
using api::discovery::v1::Endpoint;
using api::discovery::v1::EndpointPort;
using api::discovery::v1::EndpointSlice;
using client::Plan;

constexpr char kManager[] = "endpointslice-controller.k8s.io";
constexpr char kZone[] = "topology.kubernetes.io/zone";

std::string ZoneLabel(const api::ObjectPtr& node) {
  if (!node) return "";
  auto it = node->meta().labels().find(kZone);
  return it == node->meta().labels().end() ? "" : it->second;
}

class EndpointSliceController : public client::Reconciler {
 public:
  std::string_view name() const override { return "endpointslice"; }
  std::string event_source() const override { return "endpoint-slice-controller"; }

  void Setup(client::InformerSet& informers, Enqueue enqueue) override {
    services_ = &informers.For<Service>();
    pods_ = &informers.For<Pod>();
    nodes_ = &informers.For<Node>();
    slices_ = &informers.For<EndpointSlice>();
    IndexPodsByNode(*pods_);
    IndexSlicesBy(*slices_, kManager);
    WatchServicePods(*services_, *pods_, enqueue);
    // Endpoints name the zones of their nodes, and are left out while they have no node.
    nodes_->AddHandler([this, enqueue](const api::ObjectPtr& before, const api::ObjectPtr& after) {
      WakeTopologyServices(before, after, enqueue);
      if (before && after && ZoneLabel(before) == ZoneLabel(after)) return;
      for (const api::Ref<Pod>& pod : PodsOnNode(*pods_, (after ? after : before)->name()))
        WakeServicesOf(*services_, pod->metadata(), enqueue);
    });
    slices_->AddHandler([enqueue](const api::ObjectPtr& before, const api::ObjectPtr& after) {
      const api::Object& object = after ? *after : *before;
      auto it = object.meta().labels().find(kServiceNameLabel);
      if (it != object.meta().labels().end()) enqueue({object.ns(), it->second});
    });
  }

  Result<Plan> Reconcile(const Key& key, WallTime now) override {
    Plan plan;
    api::Ref<Service> service = client::GetFrom<Service>(*services_, key.ns, key.name);
    const std::vector<SliceRef> existing = SlicesBy(*slices_, kManager, key.ns, key.name);
    if (!service) {
      for (const SliceRef& slice : existing) {
        if (!api::IsBeingDeleted(slice->metadata())) plan.Delete(*slice);
      }
      return plan;
    }
    if (service->spec().selector().empty() || service->spec().type() == "ExternalName" ||
        api::IsBeingDeleted(service->metadata())) {
      return plan;
    }
    const std::vector<api::Ref<Pod>> pods = PodsOf(*pods_, *service);
    std::vector<EndpointGroup> wanted = Wanted(*service, pods);
    if (WantsTopologyHints(*service)) Spread(service, existing, &wanted, &plan);
    PlanSlices(FrameOf(*service, pods), std::move(wanted), existing, &plan);
    return plan;
  }

 private:
  // How endpoints are spread over zones depends on all nodes.
  void WakeTopologyServices(const api::ObjectPtr& before, const api::ObjectPtr& after,
                            const Enqueue& enqueue) const {
    const std::string was = before ? TopologyOf(before->As<Node>()) : "";
    const std::string is = after ? TopologyOf(after->As<Node>()) : "";
    if (was == is) return;
    for (const api::ObjectPtr& service : services_->List()) {
      if (WantsTopologyHints(service->As<Service>())) enqueue({service->ns(), service->name()});
    }
  }

  // Each family by itself, over all its groups.
  void Spread(const api::Ref<Service>& service, const std::vector<SliceRef>& existing,
              std::vector<EndpointGroup>* groups, Plan* plan) const {
    const ZoneShares shares = SharesOfZones(client::Typed<Node>(nodes_->List()));
    std::map<std::string, std::vector<Endpoint*>> by_family;
    for (EndpointGroup& group : *groups) {
      for (Endpoint& endpoint : group.endpoints)
        by_family[group.family].push_back(&endpoint);
    }
    for (const auto& [family, endpoints] : by_family) {
      const std::string problem = SpreadOverZones(shares, endpoints);
      const std::string behind = ", addressType: " + family;
      if (!problem.empty()) {
        plan->events.push_back(
            {service.object(), "Warning", "TopologyAwareHintsDisabled", problem + behind});
      } else if (!HasHints(existing, family)) {
        plan->events.push_back({service.object(), "Normal", "TopologyAwareHintsEnabled",
                                "Topology Aware Hints has been enabled" + behind});
      }
    }
  }

  static bool HasHints(const std::vector<SliceRef>& slices, const std::string& family) {
    return std::ranges::any_of(slices, [&](const SliceRef& slice) {
      return slice->address_type() == family &&
             std::ranges::any_of(slice->endpoints(),
                                 [](const Endpoint& endpoint) { return endpoint.has_hints(); });
    });
  }

  static SliceFrame FrameOf(const Service& service, const std::vector<api::Ref<Pod>>& pods) {
    SliceFrame frame;
    frame.prefix = service.metadata().name() + "-";
    frame.last_change = LastChange(service, pods);
    frame.meta.set_namespace_(service.metadata().namespace_());
    auto& labels = *frame.meta.mutable_labels();
    labels = service.metadata().labels();
    labels[kSliceManagerLabel] = kManager;
    labels[kServiceNameLabel] = service.metadata().name();
    SetHeadlessLabel(service, &labels);
    *frame.meta.add_owner_references() =
        api::MakeControllerRef(api::KindOf<Service>(), service.metadata());
    return frame;
  }

  std::vector<EndpointGroup> Wanted(const Service& service,
                                    const std::vector<api::Ref<Pod>>& pods) const {
    std::vector<std::string> families(service.spec().ip_families().begin(),
                                      service.spec().ip_families().end());
    if (families.empty()) families.push_back("IPv4");
    std::vector<EndpointGroup> groups;
    for (const std::string& family : families) {
      std::map<std::string, EndpointGroup> by_ports;
      for (const api::Ref<Pod>& pod : pods) {
        std::string address = PodAddress(*pod, family);
        if (address.empty() || !HasNode(service, *pod)) continue;
        std::vector<EndpointPort> ports = PortsOf(service, *pod);
        std::string key;
        for (const EndpointPort& port : ports)
          key += port.SerializeAsString() + '\n';
        EndpointGroup& group = by_ports[key];
        group.family = family;
        group.ports = std::move(ports);
        group.endpoints.push_back(EndpointOf(service, pod, std::move(address)));
      }
      if (by_ports.empty()) by_ports[""].family = family;
      for (auto& [key, group] : by_ports)
        groups.push_back(std::move(group));
    }
    return groups;
  }

  // A pod of a node that is gone is as good as gone.
  bool HasNode(const Service& service, const Pod& pod) const {
    return service.spec().publish_not_ready_addresses() || pod.spec().node_name().empty() ||
           nodes_->Get("", pod.spec().node_name());
  }

  static std::vector<EndpointPort> PortsOf(const Service& service, const Pod& pod) {
    std::vector<EndpointPort> ports;
    for (const auto& port : service.spec().ports()) {
      std::optional<int32_t> target = TargetPort(port, pod);
      if (!target) continue;
      EndpointPort& out = ports.emplace_back();
      out.set_name(port.name());
      out.set_protocol(port.protocol().empty() ? "TCP" : port.protocol());
      out.set_port(*target);
      if (port.has_app_protocol()) out.set_app_protocol(port.app_protocol());
    }
    return ports;
  }

  Endpoint EndpointOf(const Service& service, const api::Ref<Pod>& pod, std::string address) const {
    Endpoint endpoint;
    endpoint.add_addresses(std::move(address));
    const bool ready = api::IsReady(*pod);
    const bool terminating = api::IsBeingDeleted(pod->metadata());
    auto* conditions = endpoint.mutable_conditions();
    conditions->set_ready(service.spec().publish_not_ready_addresses() || (ready && !terminating));
    conditions->set_serving(ready);
    conditions->set_terminating(terminating);
    if (std::string hostname = EndpointHostname(*pod, service); !hostname.empty()) {
      endpoint.set_hostname(std::move(hostname));
    }
    auto* target = endpoint.mutable_target_ref();
    target->set_kind("Pod");
    target->set_namespace_(pod->metadata().namespace_());
    target->set_name(pod->metadata().name());
    target->set_uid(pod->metadata().uid());
    if (pod->spec().node_name().empty()) return endpoint;
    endpoint.set_node_name(pod->spec().node_name());
    std::string zone = ZoneLabel(nodes_->Get("", pod->spec().node_name()));
    if (!zone.empty()) endpoint.set_zone(std::move(zone));
    if (!WantsTopologyHints(service)) HintByDistribution(service, &endpoint);
    return endpoint;
  }

  client::Informer* services_ = nullptr;
  client::Informer* pods_ = nullptr;
  client::Informer* nodes_ = nullptr;
  client::Informer* slices_ = nullptr;
};

}  // namespace

std::unique_ptr<client::Reconciler> MakeEndpointSliceController() {
  return std::make_unique<EndpointSliceController>();
}

}  // namespace gantry::controllers
