#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/env/cancel.h"
#include "base/env/env.h"
#include "base/status.h"
#include "store/etcd/endpoints.h"
#include "store/store.h"

namespace gantry::store {

struct EtcdOptions {
  EtcdOptions() = default;

  // "etcd://10.0.0.1:2379,10.0.0.2:2379"; with any of the three files' contents over TLS.
  std::string url;
  // Where they are instead, for an etcd whose members come and go; null: where `url` says.
  std::shared_ptr<const etcd::EndpointList> endpoints;
  std::string ca_pem;           // empty with TLS: the system's
  std::string certificate_pem;  // of the client
  std::string private_key_pem;
  bool tls = false;

  // After so long without a sign of life from this process, what it announced goes.
  Duration session_ttl = std::chrono::seconds(6);
};

bool IsEtcdUrl(std::string_view store);

// The store that etcd (v3, 3.4 and up) keeps. All of it that is live, and the changes of the last
// minutes, are also held in memory, fed by one watch over everything: so reads cost etcd nothing,
// but for the question how far it has come. Revisions are etcd's (plus the offset that a restore
// leaves).
//
// etcd may go away and come back: then writes and questions fail after some seconds, with an error
// that says whether they were done, and everything goes on by itself later. Of a write that etcd
// may or may not have done when its connection was lost the store finds out which. Returns when all
// is read; waits for etcd for as long as `cancel` allows, and says so in the log. kConflict while a
// snapshot is being restored into it.
Task<Result<std::unique_ptr<SharedStore>>> OpenEtcdStore(Env& env, EtcdOptions options,
                                                         CancelToken cancel = {});

}  // namespace gantry::store
