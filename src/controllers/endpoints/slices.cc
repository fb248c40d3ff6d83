#include "controllers/endpoints/slices.h"

#include <algorithm>
#include <map>

#include "api/owners.h"

namespace gantry::controllers {
namespace {

using api::core::v1::Service;
using api::discovery::v1::Endpoint;
using api::discovery::v1::EndpointPort;
using api::discovery::v1::EndpointSlice;

constexpr int kMaxEndpointsPerSlice = 100;

std::string GroupKey(const std::string& family, const auto& ports) {
  std::string key = family;
  for (const EndpointPort& port : ports)
    key += '\n' + port.SerializeAsString();
  return key;
}

// An endpoint is known by its pod, so that a changed address is a change and not another endpoint.
const std::string& IdentityOf(const Endpoint& endpoint) {
  return endpoint.has_target_ref() ? endpoint.target_ref().uid() : endpoint.addresses(0);
}

void SetMetadata(const Service& service, EndpointSlice* slice) {
  auto* meta = slice->mutable_metadata();
  meta->set_namespace_(service.metadata().namespace_());
  auto& labels = *meta->mutable_labels();
  labels = service.metadata().labels();
  labels["endpointslice.kubernetes.io/managed-by"] = "endpointslice-controller.k8s.io";
  labels["kubernetes.io/service-name"] = service.metadata().name();
  if (service.spec().cluster_ip() == "None") labels["service.kubernetes.io/headless"] = "";
  meta->clear_owner_references();
  *meta->add_owner_references() =
      api::MakeControllerRef(api::KindOf<Service>(), service.metadata());
}

bool SameLabels(const EndpointSlice& a, const EndpointSlice& b) {
  const auto& left = a.metadata().labels();
  const auto& right = b.metadata().labels();
  if (left.size() != right.size()) return false;
  return std::all_of(left.begin(), left.end(), [&](const auto& label) {
    auto it = right.find(label.first);
    return it != right.end() && it->second == label.second;
  });
}

// A slice that exists and what it should become.
struct Draft {
  SliceRef before;
  EndpointSlice after;
  bool changed = false;
};

Draft Retain(const SliceRef& slice, std::map<std::string, Endpoint>* missing) {
  Draft draft{slice, *slice, false};
  draft.after.clear_endpoints();
  for (const Endpoint& endpoint : slice->endpoints()) {
    auto it = missing->find(IdentityOf(endpoint));
    if (it == missing->end()) {
      draft.changed = true;
      continue;
    }
    if (it->second.SerializeAsString() != endpoint.SerializeAsString()) draft.changed = true;
    *draft.after.add_endpoints() = std::move(it->second);
    missing->erase(it);
  }
  return draft;
}

void Fill(EndpointSlice* slice, std::map<std::string, Endpoint>* missing) {
  while (!missing->empty() && slice->endpoints_size() < kMaxEndpointsPerSlice) {
    *slice->add_endpoints() = std::move(missing->begin()->second);
    missing->erase(missing->begin());
  }
}

EndpointSlice NewSlice(const Service& service, const EndpointGroup& group) {
  EndpointSlice slice;
  SetMetadata(service, &slice);
  slice.mutable_metadata()->set_generate_name(service.metadata().name() + "-");
  slice.set_address_type(group.family);
  for (const EndpointPort& port : group.ports)
    *slice.add_ports() = port;
  return slice;
}

void PlanGroup(const Service& service, const EndpointGroup& group,
               const std::vector<SliceRef>& existing, client::Plan* plan) {
  std::map<std::string, Endpoint> missing;
  for (const Endpoint& endpoint : group.endpoints)
    missing.emplace(IdentityOf(endpoint), endpoint);
  std::vector<Draft> drafts;
  for (const SliceRef& slice : existing)
    drafts.push_back(Retain(slice, &missing));
  for (bool changed_ones : {true, false}) {
    for (Draft& draft : drafts) {
      if (missing.empty() || draft.changed != changed_ones ||
          draft.after.endpoints_size() >= kMaxEndpointsPerSlice) {
        continue;
      }
      Fill(&draft.after, &missing);
      draft.changed = true;
    }
  }
  // One slice stays even when it is empty, so that readers see a service without endpoints.
  size_t kept = 0;
  for (Draft& draft : drafts) {
    if (draft.after.endpoints_size() > 0) ++kept;
  }
  for (Draft& draft : drafts) {
    if (draft.after.endpoints_size() == 0 && (kept > 0 || !missing.empty())) {
      plan->Delete(*draft.before);
      continue;
    }
    kept = std::max<size_t>(kept, 1);
    EndpointSlice labelled = draft.after;
    SetMetadata(service, &labelled);
    if (draft.changed || !SameLabels(labelled, *draft.before)) plan->Update(std::move(labelled));
  }
  while (!missing.empty() || (drafts.empty() && kept == 0)) {
    EndpointSlice slice = NewSlice(service, group);
    Fill(&slice, &missing);
    ++kept;
    plan->Create(std::move(slice));
  }
}

}  // namespace

void PlanSlices(const Service& service, std::vector<EndpointGroup> wanted,
                const std::vector<SliceRef>& existing, client::Plan* plan) {
  std::map<std::string, std::vector<SliceRef>> by_group;
  for (const SliceRef& slice : existing) {
    if (api::IsBeingDeleted(slice->metadata())) continue;
    by_group[GroupKey(slice->address_type(), slice->ports())].push_back(slice);
  }
  for (const EndpointGroup& group : wanted) {
    auto it = by_group.find(GroupKey(group.family, group.ports));
    std::vector<SliceRef> slices;
    if (it != by_group.end()) {
      slices = std::move(it->second);
      by_group.erase(it);
    }
    PlanGroup(service, group, slices, plan);
  }
  for (const auto& [key, slices] : by_group) {
    for (const SliceRef& slice : slices)
      plan->Delete(*slice);
  }
}

}  // namespace gantry::controllers
