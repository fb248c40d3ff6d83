#pragma once

#include <functional>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "base/env/spawn.h"
#include "client/client.h"

namespace gantry::node {

// Single objects that pods on this node refer to (ConfigMaps, Secrets), each followed by a watch of
// its own while somebody uses it: a node may read only what its pods need. Threading: one strand
// (the agent's).
class WatchedObjects {
 public:
  // `changed` is called, on the agent's strand, with the users of an object that has changed.
  WatchedObjects(Env& env, client::Client& client, Executor strand,
                 std::function<void(const std::string& user)> changed);
  ~WatchedObjects();

  // The object as last seen; null when it does not exist. Waits for the first answer of the API
  // server. `user` (a pod's uid) follows it from now on.
  Task<Result<api::ObjectPtr>> Get(const api::KindInfo& kind, std::string ns, std::string name,
                                   std::string user);

  // `user` has gone: what nobody else follows is forgotten.
  void Release(const std::string& user);

  // From anywhere.
  Task<> Stop();

 private:
  struct Entry;
  Task<> Follow(std::shared_ptr<Entry> entry);

  Env& env_;
  client::Client& client_;
  Executor strand_;
  std::function<void(const std::string&)> changed_;
  std::map<std::string, std::shared_ptr<Entry>> entries_;
  bool stopped_ = false;
  Gate gate_;
};

}  // namespace gantry::node
