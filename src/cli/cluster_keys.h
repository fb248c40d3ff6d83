#pragma once

#include <map>
#include <string>

#include "base/env/env.h"
#include "base/status.h"
#include "cli/data_dir.h"
#include "store/etcd/etcd_store.h"

namespace gantry::cli {

// What all servers of one cluster have to be told alike, by flag: "service-cidr" and the like.
using ClusterSettings = std::map<std::string, std::string>;

// Brings the cluster's keys (CA, service accounts' key, join token) under `dir` in line with those
// that the cluster's servers share through etcd, sealed with the join token. The first server puts
// them there (its own, where it has some; else new ones); of several that come at once one wins.
// Waits until etcd answers. `token`: as given by --token; empty: the one under `dir`.
// kForbidden: the token is not this cluster's. kConflict: `dir` belongs to another cluster.
// kInvalid: this server is to be set up unlike the others.
Task<Status> ShareClusterKeys(Env& env, const DataDir& dir, store::EtcdOptions etcd,
                              std::string token, ClusterSettings settings);

// kInvalid: a setting of ours is not theirs; settings that one side does not name are no
// difference.
Status CheckSettings(const ClusterSettings& ours, const ClusterSettings& theirs);

// After a restore: the keys under `dir` become those that the servers share, whatever was there.
Task<Status> ReplaceClusterKeys(Env& env, const DataDir& dir, store::EtcdOptions etcd);

}  // namespace gantry::cli
