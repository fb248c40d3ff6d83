#pragma once

#include <optional>
#include <string>

#include "base/env/env.h"
#include "base/status.h"
#include "store/etcd/etcd_store.h"

namespace gantry::store {

// Keys of etcd's by themselves, over a connection of their own, for what has to be known before a
// store can be opened. kUnavailable or kUnknown while etcd does not answer.
Task<Result<std::optional<std::string>>> ReadEtcdKey(Env& env, EtcdOptions options,
                                                     std::string key);
// Writes the key where it is absent. What it holds then: ours, or what was there first.
Task<Result<std::string>> EnsureEtcdKey(Env& env, EtcdOptions options, std::string key,
                                        std::string value);
Task<Status> RemoveEtcdKey(Env& env, EtcdOptions options, std::string key);

}  // namespace gantry::store
