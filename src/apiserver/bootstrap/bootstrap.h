#pragma once

#include <string>

#include "apiserver/registry/allocators.h"
#include "apiserver/registry/registry.h"
#include "base/status.h"

namespace gantry::apiserver {

struct BootstrapOptions {
  BootstrapOptions() = default;
  std::string advertise_address;  // where clients inside the cluster reach the server
  int advertise_port = 6443;
  std::string ca_pem;  // for cluster-info
};

// Writes what every cluster has from the start and what is missing of it: system namespaces, the
// service "kubernetes" (and its endpoints, where this is the only server), default roles and
// bindings, system priority classes, cluster-info. Nothing is written when nothing is missing.
Task<Status> WriteBootstrapObjects(Registry& registry, const Allocators& allocators,
                                   BootstrapOptions options);

}  // namespace gantry::apiserver
