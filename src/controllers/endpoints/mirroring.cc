#include <algorithm>

#include "api/core/v1/endpoints.pb.h"
#include "api/core/v1/service.pb.h"
#include "api/owners.h"
#include "controllers/endpoints/endpointslice.h"
#include "controllers/endpoints/slices.h"

namespace gantry::controllers {
namespace {

using api::core::v1::EndpointAddress;
using api::core::v1::Endpoints;
using api::core::v1::EndpointSubset;
using api::core::v1::Service;
using api::discovery::v1::Endpoint;
using api::discovery::v1::EndpointPort;
using api::discovery::v1::EndpointSlice;
using client::Plan;

constexpr char kManager[] = "endpointslicemirroring-controller.k8s.io";
constexpr char kSkip[] = "endpointslice.kubernetes.io/skip-mirror";
constexpr char kLeader[] = "control-plane.alpha.kubernetes.io/leader";
constexpr char kLastApplied[] = "kubectl.kubernetes.io/last-applied-configuration";
constexpr char kTriggerTime[] = "endpoints.kubernetes.io/last-change-trigger-time";
constexpr int kMaxAddresses = 1000;  // of a subset; also of a slice

bool IsMirrored(const Endpoints& endpoints) {
  const auto& labels = endpoints.metadata().labels();
  auto skip = labels.find(kSkip);
  return (skip == labels.end() || skip->second != "true") &&
         !endpoints.metadata().annotations().contains(kLeader);
}

Endpoint Mirror(const EndpointAddress& address, bool ready) {
  Endpoint endpoint;
  endpoint.add_addresses(address.ip());
  endpoint.mutable_conditions()->set_ready(ready);
  if (address.has_target_ref()) *endpoint.mutable_target_ref() = address.target_ref();
  if (address.has_node_name()) endpoint.set_node_name(address.node_name());
  if (!address.hostname().empty()) endpoint.set_hostname(address.hostname());
  return endpoint;
}

class MirroringController : public client::Reconciler {
 public:
  std::string_view name() const override { return "endpointslicemirroring"; }
  std::string event_source() const override { return "endpoint-slice-mirroring-controller"; }

  void Setup(client::InformerSet& informers, Enqueue enqueue) override {
    services_ = &informers.For<Service>();
    endpoints_ = &informers.For<Endpoints>();
    slices_ = &informers.For<EndpointSlice>();
    IndexSlicesBy(*slices_, kManager);
    auto wake = [enqueue](const api::ObjectPtr& before, const api::ObjectPtr& after) {
      const api::Object& object = after ? *after : *before;
      enqueue({object.ns(), object.name()});
    };
    services_->AddHandler(wake);
    endpoints_->AddHandler(wake);
    slices_->AddHandler([enqueue](const api::ObjectPtr& before, const api::ObjectPtr& after) {
      const api::Object& object = after ? *after : *before;
      const auto& labels = object.meta().labels();
      auto manager = labels.find(kSliceManagerLabel);
      auto service = labels.find(kServiceNameLabel);
      if (manager != labels.end() && manager->second == kManager && service != labels.end())
        enqueue({object.ns(), service->second});
    });
  }

  Result<Plan> Reconcile(const Key& key, WallTime now) override {
    Plan plan;
    api::Ref<Endpoints> endpoints = client::GetFrom<Endpoints>(*endpoints_, key.ns, key.name);
    api::Ref<Service> service = client::GetFrom<Service>(*services_, key.ns, key.name);
    const std::vector<SliceRef> existing = SlicesBy(*slices_, kManager, key.ns, key.name);
    if (!endpoints || !service || !service->spec().selector().empty() || !IsMirrored(*endpoints)) {
      for (const SliceRef& slice : existing) {
        if (!api::IsBeingDeleted(slice->metadata())) plan.Delete(*slice);
      }
      return plan;
    }
    PlanSlices(FrameOf(*endpoints), Wanted(endpoints, &plan), existing, &plan);
    return plan;
  }

 private:
  static SliceFrame FrameOf(const Endpoints& endpoints) {
    const auto& from = endpoints.metadata();
    SliceFrame frame;
    frame.prefix = from.name() + "-";
    frame.max_endpoints = kMaxAddresses;
    frame.known_by_address = true;
    frame.keep_empty = false;
    frame.meta.set_namespace_(from.namespace_());
    *frame.meta.mutable_labels() = from.labels();
    (*frame.meta.mutable_labels())[kSliceManagerLabel] = kManager;
    (*frame.meta.mutable_labels())[kServiceNameLabel] = from.name();
    *frame.meta.mutable_annotations() = from.annotations();
    frame.meta.mutable_annotations()->erase(kLastApplied);
    frame.meta.mutable_annotations()->erase(kTriggerTime);
    *frame.meta.add_owner_references() = api::MakeControllerRef(api::KindOf<Endpoints>(), from);
    return frame;
  }

  static std::vector<EndpointGroup> Wanted(const api::Ref<Endpoints>& endpoints, Plan* plan) {
    std::vector<EndpointGroup> groups;
    auto group_of = [&](const std::string& family, const std::vector<EndpointPort>& ports) {
      for (EndpointGroup& group : groups) {
        if (group.family == family &&
            std::equal(group.ports.begin(), group.ports.end(), ports.begin(), ports.end(),
                       [](const auto& a, const auto& b) {
                         return a.SerializeAsString() == b.SerializeAsString();
                       })) {
          return &group;
        }
      }
      return &groups.emplace_back(EndpointGroup{family, ports, {}});
    };
    int skipped = 0;
    for (const EndpointSubset& subset : endpoints->subsets()) {
      std::vector<EndpointPort> ports;
      for (const auto& port : subset.ports()) {
        EndpointPort& out = ports.emplace_back();
        out.set_name(port.name());
        out.set_port(port.port());
        out.set_protocol(port.protocol().empty() ? "TCP" : port.protocol());
        if (port.has_app_protocol()) out.set_app_protocol(port.app_protocol());
      }
      int count = 0;
      for (const bool ready : {true, false}) {
        for (const auto& address : ready ? subset.addresses() : subset.not_ready_addresses()) {
          if (++count > kMaxAddresses) {
            ++skipped;
            continue;
          }
          const bool v6 = address.ip().find(':') != std::string::npos;
          group_of(v6 ? "IPv6" : "IPv4", ports)->endpoints.push_back(Mirror(address, ready));
        }
      }
    }
    if (skipped > 0) {
      plan->events.push_back(
          {endpoints.object(), "Warning", "TooManyAddressesToMirror",
           "A max of 1000 addresses can be mirrored to EndpointSlices per Endpoints subset. " +
               std::to_string(skipped) + " addresses were skipped"});
    }
    return groups;
  }

  client::Informer* services_ = nullptr;
  client::Informer* endpoints_ = nullptr;
  client::Informer* slices_ = nullptr;
};

}  // namespace

std::unique_ptr<client::Reconciler> MakeEndpointSliceMirroringController() {
  return std::make_unique<MirroringController>();
}

}  // namespace gantry::controllers
