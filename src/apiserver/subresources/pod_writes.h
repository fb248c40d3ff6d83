#pragma once

#include <memory>
#include <string>

#include "apiserver/registry/registry.h"

namespace gantry::apiserver {

// pods/binding: puts the pod on the node that the Binding names. The pod as it is then.
Task<Result<api::ObjectPtr>> BindPod(Registry& registry, Call call, const ResourceRow& row,
                                     std::string ns, std::string name,
                                     std::unique_ptr<google::protobuf::Message> binding);

// pods/eviction: deletes the pod if its disruption budgets allow, kTooManyRequests if not now. The
// pod as it was last.
Task<Result<api::ObjectPtr>> EvictPod(Registry& registry, Call call, const ResourceRow& row,
                                      std::string ns, std::string name,
                                      std::unique_ptr<google::protobuf::Message> eviction);

}  // namespace gantry::apiserver
