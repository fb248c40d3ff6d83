#pragma once

#include <map>
#include <string>
#include <vector>

#include "api/discovery/v1/endpoint_slice.pb.h"
#include "api/object.h"
#include "base/env/time.h"
#include "client/informer.h"
#include "client/reconciler.h"

namespace gantry::controllers {

using SliceRef = api::Ref<api::discovery::v1::EndpointSlice>;

// Endpoints that share one list of ports, for one address family.
struct EndpointGroup {
  std::string family;  // "IPv4", "IPv6"
  std::vector<api::discovery::v1::EndpointPort> ports;
  std::vector<api::discovery::v1::Endpoint> endpoints;
};

// What all slices of one service have in common.
struct SliceFrame {
  api::meta::v1::ObjectMeta meta;  // namespace, labels, annotations, owner
  std::string prefix;              // of generated names
  int max_endpoints = 100;
  // Two addresses of one pod are two endpoints, rather than one that changed its address.
  bool known_by_address = false;
  // Keeps a slice without endpoints, so that readers see a service that has none.
  bool keep_empty = true;
  // When what the slices show last changed; unset where that is not told.
  WallTime last_change{};
};

// Turns the slices that are there into ones that hold the groups, with as few changes as it can:
// endpoints stay in their slice, new ones fill the gaps of slices that change anyway, the rest goes
// to another slice that has room for all of it, else to new ones.
void PlanSlices(const SliceFrame& frame, std::vector<EndpointGroup> wanted,
                const std::vector<SliceRef>& existing, client::Plan* plan);

inline constexpr char kServiceNameLabel[] = "kubernetes.io/service-name";
inline constexpr char kSliceManagerLabel[] = "endpointslice.kubernetes.io/managed-by";
inline constexpr char kHeadlessLabel[] = "service.kubernetes.io/headless";

// The slices of a service ("namespace/name") that `manager` made. IndexSlicesBy before Start.
void IndexSlicesBy(client::Informer& slices, const std::string& manager);
std::vector<SliceRef> SlicesBy(const client::Informer& slices, const std::string& manager,
                               const std::string& ns, const std::string& service);

// Writes the annotation endpoints.kubernetes.io/last-change-trigger-time of an object that is going
// to be written, or takes it away where nothing happened since the last one.
void SetTriggerTime(WallTime last_change, api::meta::v1::ObjectMeta* meta);

}  // namespace gantry::controllers
