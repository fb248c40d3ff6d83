#pragma once

#include <functional>
#include <map>
#include <memory>
#include <string>

#include "api/apps/v1/deployment.pb.h"
#include "api/core/v1/node.pb.h"
#include "sim/cluster.h"

namespace gantry::sim {

// What users want of the cluster, as they last had it acknowledged.
struct Wanted {
  struct App {
    bool exists = false;
    int replicas = 0;
    std::string image;
    bool service = false;
  };
  std::map<std::pair<std::string, std::string>, App> apps;  // deployments, by namespace and name
  std::map<std::string, bool> tenants;  // namespaces, and whether they are to be
  struct Identities {
    int replicas = 0;
    std::string image;
  };
  std::map<std::pair<std::string, std::string>, Identities> identities;  // stateful sets
  std::map<std::pair<std::string, std::string>, std::string> daemons;    // daemon sets: images
  std::map<std::pair<std::string, std::string>, int> jobs;               // completions; 0: deleted
};

// Users at work, each of them a coroutine: deployments come, scale, roll to versions that are good
// or broken, and go; nodes are cordoned, drained and taken back, and given up when their machine is
// lost; namespaces come and go with all that is in them; the pods of stateful sets are deleted
// under them. Nobody gives up: what fails is tried again until the cluster acknowledges it. Life
// cycle: Start, Finish. Threading: one thread.
class Workload {
 public:
  explicit Workload(Cluster& cluster);

  void Start();
  // Ends with everything good, as users want it: returns when all of it is acknowledged.
  Task<> Finish();

  const Wanted& wanted() const { return wanted_; }

 private:
  Task<> OwnApp(std::string ns, std::string name);
  Task<> OwnTenant(std::string ns);
  Task<> OwnIdentities(std::string ns, std::string name);
  Task<> OwnJobs(std::string ns);
  Task<> OwnDaemons(std::string ns, std::string name);
  Task<> OperateNodes();
  Task<> ReplaceLostNodes();

  Task<> CreateApp(std::string ns, std::string name);
  Task<> ChangeApp(std::string ns, std::string name,
                   std::function<void(api::apps::v1::Deployment&)> change);
  Task<> DeleteApp(std::string ns, std::string name);
  Task<> ChangeNode(std::string what, std::string node,
                    std::function<void(api::core::v1::Node&)> change);
  Task<> SetUnschedulable(std::string node, bool value);
  Task<> GiveUp(std::string node);
  Task<> Drain(std::string node);

  Task<> Rest(Duration least, Duration most);
  // Does it again until it is acknowledged.
  Task<> Insist(std::string what, std::function<Task<Status>()> act);

  Cluster& cluster_;
  World& world_;
  Dice dice_;
  Wanted wanted_;
  bool finishing_ = false;
  CancelSource stop_;
  int last_version_ = 0;
  Gate gate_;
};

}  // namespace gantry::sim
