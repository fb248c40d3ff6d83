#include "sim/converged.h"

#include <map>
#include <set>
#include <vector>

#include "api/apps/v1/deployment.pb.h"
#include "api/apps/v1/replica_set.pb.h"
#include "api/batch/v1/job.pb.h"
#include "api/core/v1/config_map.pb.h"
#include "api/core/v1/namespace.pb.h"
#include "api/core/v1/node.pb.h"
#include "api/core/v1/pod.pb.h"
#include "api/core/v1/service.pb.h"
#include "api/discovery/v1/endpoint_slice.pb.h"
#include "api/owners.h"
#include "api/pods.h"

namespace gantry::sim {

using api::apps::v1::Deployment;
using api::apps::v1::ReplicaSet;
using api::batch::v1::Job;
using api::core::v1::Namespace;
using api::core::v1::Node;
using api::core::v1::Pod;
using api::core::v1::Service;
using api::discovery::v1::EndpointSlice;

namespace {

class Differences {
 public:
  void Add(const std::string& what) { text_ += (text_.empty() ? "" : "; ") + what; }
  void Expect(const std::string& what, int64_t has, int64_t want) {
    if (has != want) Add(what + " is " + std::to_string(has) + " for " + std::to_string(want));
  }
  std::string text() const { return text_; }

 private:
  std::string text_;
};

bool LabelIs(const api::meta::v1::ObjectMeta& meta, const std::string& key,
             const std::string& value) {
  auto it = meta.labels().find(key);
  return it != meta.labels().end() && it->second == value;
}

void CompareApp(Truth& truth, const std::string& ns, const std::string& name,
                const Wanted::App& app, Differences* out) {
  const std::string what = ns + "/" + name;
  api::ObjectPtr object = truth.At(api::StorageKey(api::KindOf<Deployment>(), ns, name));
  if (!app.exists) {
    if (object) out->Add(what + " is still there");
    for (const auto& pod : truth.All<Pod>(ns)) {
      if (LabelIs(pod->metadata(), "app", name))
        out->Add(pod->metadata().name() + " is still there");
    }
    return;
  }
  if (!object) {
    out->Add(what + " is not there");
    return;
  }
  const auto& deployment = object->As<Deployment>();
  const auto& status = deployment.status();
  out->Expect(what + " spec.replicas", deployment.spec().replicas(), app.replicas);
  if (deployment.spec().template_().spec().containers(0).image() != app.image)
    out->Add(what + " has another image than " + app.image);
  out->Expect(what + " observed generation", status.observed_generation(),
              deployment.metadata().generation());
  out->Expect(what + " replicas", status.replicas(), app.replicas);
  out->Expect(what + " updated", status.updated_replicas(), app.replicas);
  out->Expect(what + " available", status.available_replicas(), app.replicas);
  std::string current;
  for (const auto& set : truth.All<ReplicaSet>(ns)) {
    if (!api::IsControlledBy(set->metadata(), object->uid())) continue;
    const bool is_current = set->spec().template_().spec().containers(0).image() == app.image;
    if (!is_current) out->Expect(set->metadata().name(), set->spec().replicas(), 0);
    if (is_current && set->spec().replicas() == app.replicas) current = set->metadata().uid();
  }
  if (current.empty()) out->Add(what + " has no set of its version");
  std::set<std::string> ready, shown;
  int pods = 0;
  for (const auto& pod : truth.All<Pod>(ns)) {
    if (!LabelIs(pod->metadata(), "app", name)) continue;
    const std::string& phase = pod->status().phase();
    // What a node refused or a deadline ended stays until somebody collects it.
    if (phase == "Failed" || phase == "Succeeded") continue;
    ++pods;
    if (!api::IsControlledBy(pod->metadata(), current))
      out->Add(pod->metadata().name() + " is of another set");
    if (api::IsReady(*pod)) {
      ready.insert(pod->status().pod_ip());
    } else {
      out->Add(pod->metadata().name() + " on " + pod->spec().node_name() + " is not ready");
    }
  }
  out->Expect(what + " pods", pods, app.replicas);
  if (!app.service) return;
  for (const auto& slice : truth.All<EndpointSlice>(ns)) {
    if (!LabelIs(slice->metadata(), "kubernetes.io/service-name", name)) continue;
    for (const auto& endpoint : slice->endpoints()) {
      if (endpoint.conditions().ready()) shown.insert(endpoint.addresses(0));
    }
  }
  if (ready != shown)
    out->Add(what + " shows " + std::to_string(shown.size()) + " endpoints that are not its " +
             std::to_string(ready.size()) + " ready pods");
}

void CompareIdentities(Truth& truth, const std::string& ns, const std::string& name,
                       const Wanted::Identities& identities, Differences* out) {
  int pods = 0;
  for (const auto& pod : truth.All<Pod>(ns)) {
    if (!LabelIs(pod->metadata(), "app", name)) continue;
    ++pods;
    if (!api::IsReady(*pod)) out->Add(pod->metadata().name() + " is not ready");
    if (pod->spec().containers(0).image() != identities.image)
      out->Add(pod->metadata().name() + " has another image than " + identities.image);
  }
  out->Expect("pods of " + name, pods, identities.replicas);
}

void CompareDaemons(Cluster& cluster, const std::string& ns, const std::string& name,
                    const std::string& image, Differences* out) {
  std::map<std::string, int> ready;  // by node
  for (const auto& pod : cluster.truth().All<Pod>(ns)) {
    if (!LabelIs(pod->metadata(), "app", name)) continue;
    if (pod->spec().containers(0).image() != image)
      out->Add(pod->metadata().name() + " has another image than " + image);
    if (api::IsReady(*pod)) ++ready[pod->spec().node_name()];
  }
  for (const auto& agent : cluster.agents())
    out->Expect("pods of " + name + " on " + agent->name(), ready[agent->name()], 1);
}

void CompareJob(Truth& truth, const std::string& ns, const std::string& name, int completions,
                Differences* out) {
  api::ObjectPtr object = truth.At(api::StorageKey(api::KindOf<Job>(), ns, name));
  if (completions == 0) {
    if (object) out->Add(name + " is still there");
    for (const auto& pod : truth.All<Pod>(ns)) {
      if (LabelIs(pod->metadata(), "app", name))
        out->Add(pod->metadata().name() + " is still there");
    }
    return;
  }
  if (!object) {
    out->Add(name + " is not there");
    return;
  }
  const auto& status = object->As<Job>().status();
  out->Expect(name + " succeeded", status.succeeded(), completions);
  out->Expect(name + " active", status.active(), 0);
  bool complete = false;
  for (const auto& condition : status.conditions())
    complete = complete || (condition.type() == "Complete" && condition.status() == "True");
  if (!complete) out->Add(name + " is not complete");
}

void CompareNodes(Cluster& cluster, Differences* out) {
  std::map<std::string, std::set<std::string>> bound;  // by node: uids of pods that should run
  for (const auto& pod : cluster.truth().All<Pod>()) {
    if (pod->metadata().has_deletion_timestamp()) out->Add(pod->metadata().name() + " is leaving");
    const std::string& phase = pod->status().phase();
    if (phase == "Failed" || phase == "Succeeded") continue;
    bound[pod->spec().node_name()].insert(pod->metadata().uid());
  }
  for (const std::string& uid : bound[""])
    out->Add("a pod has no node: " + uid);
  for (const auto& agent : cluster.agents()) {
    api::ObjectPtr object =
        cluster.truth().At(api::StorageKey(api::KindOf<Node>(), "", agent->name()));
    if (!object) {
      out->Add(agent->name() + " is not registered");
      continue;
    }
    const auto& node = object->As<Node>();
    bool ready = false;
    for (const auto& condition : node.status().conditions())
      ready = ready || (condition.type() == "Ready" && condition.status() == "True");
    if (!ready) out->Add(agent->name() + " is not ready");
    for (const auto& taint : node.spec().taints())
      out->Add(agent->name() + " is tainted " + taint.key());
    std::set<std::string> running;
    for (const auto& [id, container] : agent->machine().containers) {
      if (container.running()) running.insert(container.pod_uid);
    }
    for (const std::string& uid : running) {
      if (!bound[agent->name()].contains(uid)) out->Add(agent->name() + " runs a stray pod " + uid);
    }
    for (const std::string& uid : bound[agent->name()]) {
      if (!running.contains(uid)) out->Add(agent->name() + " does not run " + uid);
    }
  }
}

}  // namespace

std::string Difference(Cluster& cluster, const Wanted& wanted) {
  Differences out;
  Truth& truth = cluster.truth();
  for (const auto& [key, app] : wanted.apps)
    CompareApp(truth, key.first, key.second, app, &out);
  for (const auto& [ns, exists] : wanted.tenants) {
    const bool there = truth.At(api::StorageKey(api::KindOf<Namespace>(), "", ns)) != nullptr;
    if (there != exists) out.Add("namespace " + ns + (there ? " is still there" : " is missing"));
    if (exists) continue;
    for (const api::KindInfo& kind : api::AllKinds()) {
      if (kind.storage_kind != &kind || kind.storage_prefix.empty() || !kind.namespaced) continue;
      for (const api::ObjectPtr& object : truth.Now(api::StoragePrefix(kind, ns)))
        out.Add(object->Key() + " is left of namespace " + ns);
    }
  }
  for (const auto& [key, identities] : wanted.identities)
    CompareIdentities(truth, key.first, key.second, identities, &out);
  for (const auto& [key, image] : wanted.daemons)
    CompareDaemons(cluster, key.first, key.second, image, &out);
  for (const auto& [key, completions] : wanted.jobs)
    CompareJob(truth, key.first, key.second, completions, &out);
  CompareNodes(cluster, &out);
  for (const auto& server : cluster.servers()) {
    // It may lag behind by what is on its way; what stays behind is seen at the end.
    if (!server->serving()) {
      out.Add(server->name() + " does not serve");
    } else if (constexpr int64_t kOnItsWay = 20;
               server->revision() + kOnItsWay < truth.revision()) {
      out.Add(server->name() + " is at revision " + std::to_string(server->revision()) + " of " +
              std::to_string(truth.revision()));
    }
  }
  return out.text();
}

Task<std::string> CacheDifference(Cluster& cluster) {
  const apiserver::UserInfo admin("admin", {"system:masters"});
  for (const auto& server : cluster.servers()) {
    std::shared_ptr<Server::Life> life = server->life();
    if (!life) continue;
    client::Client& client = Server::ClientOf(*life, admin);
    for (const api::KindInfo* kind :
         {&api::KindOf<Pod>(), &api::KindOf<Deployment>(), &api::KindOf<ReplicaSet>(),
          &api::KindOf<EndpointSlice>(), &api::KindOf<Service>(), &api::KindOf<Namespace>(),
          &api::KindOf<api::core::v1::ConfigMap>()}) {
      client::ListOptions all;
      Result<client::List> shown = co_await client.ListObjects(*kind, std::move(all));
      if (!shown.ok())
        co_return server->name() + " does not list " + kind->GroupResource() + ": " +
            shown.status().ToString();
      std::map<std::string, int64_t> held, seen;
      for (const api::ObjectPtr& object : cluster.truth().Now(api::StoragePrefix(*kind)))
        held[object->Key()] = object->revision();
      for (const api::ObjectPtr& object : shown->items)
        seen[object->Key()] = object->revision();
      if (held != seen)
        co_return server->name() + " shows other " + kind->GroupResource() +
            " than the store holds";
    }
  }
  co_return std::string();
}

}  // namespace gantry::sim
