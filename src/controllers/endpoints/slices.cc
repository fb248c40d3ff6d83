#include "controllers/endpoints/slices.h"

#include <algorithm>
#include <map>

#include "api/duration.h"
#include "api/owners.h"
#include "api/same.h"

namespace gantry::controllers {
namespace {

using api::discovery::v1::Endpoint;
using api::discovery::v1::EndpointPort;
using api::discovery::v1::EndpointSlice;

constexpr char kTriggerTime[] = "endpoints.kubernetes.io/last-change-trigger-time";

std::string GroupKey(const std::string& family, const auto& ports) {
  std::string key = family;
  for (const EndpointPort& port : ports)
    key += '\n' + port.SerializeAsString();
  return key;
}

// An endpoint is known by its pod, so that a changed address is a change and not another endpoint.
const std::string& IdentityOf(const SliceFrame& frame, const Endpoint& endpoint) {
  const bool by_pod = !frame.known_by_address && !endpoint.target_ref().uid().empty();
  return by_pod ? endpoint.target_ref().uid() : endpoint.addresses(0);
}

void SetMetadata(const SliceFrame& frame, EndpointSlice* slice) {
  auto* meta = slice->mutable_metadata();
  meta->set_namespace_(frame.meta.namespace_());
  *meta->mutable_labels() = frame.meta.labels();
  *meta->mutable_owner_references() = frame.meta.owner_references();
  auto had = meta->annotations().find(kTriggerTime);
  const std::string trigger = had == meta->annotations().end() ? "" : had->second;
  *meta->mutable_annotations() = frame.meta.annotations();
  if (!trigger.empty()) (*meta->mutable_annotations())[kTriggerTime] = trigger;
}

bool SameMetadata(const EndpointSlice& a, const EndpointSlice& b) {
  return api::SameMap(a.metadata().labels(), b.metadata().labels()) &&
         api::SameMap(a.metadata().annotations(), b.metadata().annotations());
}

// A slice that exists and what it should become.
struct Draft {
  SliceRef before;
  EndpointSlice after;
  bool changed = false;
};

Draft Retain(const SliceFrame& frame, const SliceRef& slice,
             std::map<std::string, Endpoint>* missing) {
  Draft draft{slice, *slice, false};
  draft.after.clear_endpoints();
  for (const Endpoint& endpoint : slice->endpoints()) {
    auto it = missing->find(IdentityOf(frame, endpoint));
    if (it == missing->end()) {
      draft.changed = true;
      continue;
    }
    if (!api::Same(it->second, endpoint)) draft.changed = true;
    *draft.after.add_endpoints() = std::move(it->second);
    missing->erase(it);
  }
  return draft;
}

void Fill(const SliceFrame& frame, EndpointSlice* slice, std::map<std::string, Endpoint>* missing) {
  while (!missing->empty() && slice->endpoints_size() < frame.max_endpoints) {
    *slice->add_endpoints() = std::move(missing->begin()->second);
    missing->erase(missing->begin());
  }
}

EndpointSlice NewSlice(const SliceFrame& frame, const EndpointGroup& group) {
  EndpointSlice slice;
  SetMetadata(frame, &slice);
  slice.mutable_metadata()->set_generate_name(frame.prefix);
  slice.set_address_type(group.family);
  for (const EndpointPort& port : group.ports)
    *slice.add_ports() = port;
  return slice;
}

// Puts what is missing into slices that are there, the fullest first.
void FillGaps(const SliceFrame& frame, std::vector<Draft>* drafts,
              std::map<std::string, Endpoint>* missing) {
  std::vector<Draft*> fullest_first;
  for (Draft& draft : *drafts)
    fullest_first.push_back(&draft);
  std::stable_sort(fullest_first.begin(), fullest_first.end(), [](const Draft* a, const Draft* b) {
    return a->after.endpoints_size() > b->after.endpoints_size();
  });
  for (Draft* draft : fullest_first) {
    if (draft->changed) Fill(frame, &draft->after, missing);
  }
  for (Draft* draft : fullest_first) {
    const size_t room = static_cast<size_t>(frame.max_endpoints - draft->after.endpoints_size());
    if (draft->changed || missing->empty() || room < missing->size()) continue;
    Fill(frame, &draft->after, missing);
    draft->changed = true;
  }
}

void PlanGroup(const SliceFrame& frame, const EndpointGroup& group,
               const std::vector<SliceRef>& existing, client::Plan* plan) {
  std::map<std::string, Endpoint> missing;
  for (const Endpoint& endpoint : group.endpoints)
    missing.emplace(IdentityOf(frame, endpoint), endpoint);
  std::vector<Draft> drafts;
  for (const SliceRef& slice : existing)
    drafts.push_back(Retain(frame, slice, &missing));
  FillGaps(frame, &drafts, &missing);
  size_t kept = 0;
  for (Draft& draft : drafts) {
    if (draft.after.endpoints_size() > 0) ++kept;
  }
  for (Draft& draft : drafts) {
    if (draft.after.endpoints_size() == 0 && (kept > 0 || !missing.empty() || !frame.keep_empty)) {
      plan->Delete(*draft.before);
      continue;
    }
    kept = std::max<size_t>(kept, 1);
    EndpointSlice next = draft.after;
    SetMetadata(frame, &next);
    if (!draft.changed && SameMetadata(next, *draft.before)) continue;
    SetTriggerTime(frame.last_change, next.mutable_metadata());
    plan->Update(std::move(next));
  }
  while (!missing.empty() || (drafts.empty() && kept == 0 && frame.keep_empty)) {
    EndpointSlice slice = NewSlice(frame, group);
    SetTriggerTime(frame.last_change, slice.mutable_metadata());
    Fill(frame, &slice, &missing);
    ++kept;
    plan->Create(std::move(slice));
  }
}

std::string IndexName(const std::string& manager) { return "slices of " + manager; }

}  // namespace

void PlanSlices(const SliceFrame& frame, std::vector<EndpointGroup> wanted,
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
    PlanGroup(frame, group, slices, plan);
  }
  for (const auto& [key, slices] : by_group) {
    for (const SliceRef& slice : slices)
      plan->Delete(*slice);
  }
}

void IndexSlicesBy(client::Informer& slices, const std::string& manager) {
  slices.AddIndex(IndexName(manager), [manager](const api::Object& object) {
    const auto& labels = object.meta().labels();
    auto has = labels.find(kSliceManagerLabel);
    auto service = labels.find(kServiceNameLabel);
    if (has == labels.end() || has->second != manager || service == labels.end()) {
      return std::vector<std::string>();
    }
    return std::vector<std::string>{object.ns() + "/" + service->second};
  });
}

std::vector<SliceRef> SlicesBy(const client::Informer& slices, const std::string& manager,
                               const std::string& ns, const std::string& service) {
  return client::Typed<EndpointSlice>(slices.ByIndex(IndexName(manager), ns + "/" + service));
}

void SetTriggerTime(WallTime last_change, api::meta::v1::ObjectMeta* meta) {
  auto& annotations = *meta->mutable_annotations();
  const std::string time = last_change == WallTime() ? "" : api::FormatTime(last_change);
  auto it = annotations.find(kTriggerTime);
  const std::string before = it == annotations.end() ? "" : it->second;
  if (time > before) {
    annotations[kTriggerTime] = time;
  } else {
    annotations.erase(kTriggerTime);
  }
}

}  // namespace gantry::controllers
