#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "api/core/v1/pod.pb.h"
#include "api/core/v1/service.pb.h"
#include "api/object.h"
#include "client/informer.h"
#include "client/reconciler.h"

namespace gantry::controllers {

// What both endpoint controllers read of services and pods.

// Wakes `enqueue` with the services that select a pod whenever something about it changes that
// endpoints show.
void WatchServicePods(client::Informer& services, client::Informer& pods,
                      client::Reconciler::Enqueue enqueue);

// Wakes `enqueue` with the services that select a pod with this metadata.
void WakeServicesOf(const client::Informer& services, const api::meta::v1::ObjectMeta& pod,
                    const client::Reconciler::Enqueue& enqueue);

// When something last happened to the service or its pods that endpoints show.
WallTime LastChange(const api::core::v1::Service& service,
                    const std::vector<api::Ref<api::core::v1::Pod>>& pods);

// Services without an address of their own say so on what is made for them.
void SetHeadlessLabel(const api::core::v1::Service& service,
                      google::protobuf::Map<std::string, std::string>* labels);

// The pods that the service selects and that have an address, ordered by name.
std::vector<api::Ref<api::core::v1::Pod>> PodsOf(const client::Informer& pods,
                                                 const api::core::v1::Service& service);

// The pod's address of a family ("IPv4", "IPv6"); empty when it has none.
std::string PodAddress(const api::core::v1::Pod& pod, std::string_view family);

// The port of the pod that the service port leads to; nullopt where a named one is not there.
std::optional<int32_t> TargetPort(const api::core::v1::ServicePort& port,
                                  const api::core::v1::Pod& pod);

// The host name that the pod gets in the service's domain; empty when it has none.
std::string EndpointHostname(const api::core::v1::Pod& pod, const api::core::v1::Service& service);

}  // namespace gantry::controllers
