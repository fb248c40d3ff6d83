// Deployments, replica sets and endpoint slices together, over a store in memory and under virtual
// time, with conflicts, lost connections, lost answers and restarts at random. A failure is a seed.

#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <set>

#include "api/apps/v1/deployment.pb.h"
#include "api/apps/v1/replica_set.pb.h"
#include "api/core/v1/node.pb.h"
#include "api/core/v1/pod.pb.h"
#include "api/core/v1/service.pb.h"
#include "api/discovery/v1/endpoint_slice.pb.h"
#include "api/duration.h"
#include "api/owners.h"
#include "api/pods.h"
#include "api/testing/from_yaml.h"
#include "base/env/testing/virtual_env.h"
#include "client/reconciler.h"
#include "client/testing/fake_client.h"
#include "controllers/deployment/deployment.h"
#include "controllers/deployment/revisions.h"
#include "controllers/endpoints/endpointslice.h"
#include "controllers/replicaset/replicaset.h"
#include "controllers/testing/faulty_client.h"
#include "controllers/testing/restarting_process.h"

namespace gantry::controllers {
namespace {

using api::apps::v1::Deployment;
using api::apps::v1::ReplicaSet;
using api::core::v1::Node;
using api::core::v1::Pod;
using api::core::v1::Service;
using api::discovery::v1::EndpointSlice;
using api::testing::FromYaml;
using std::chrono::milliseconds;

void AddControllers(client::ReconcilerRunner& runner) {
  runner.Add(MakeDeploymentController());
  runner.Add(MakeReplicaSetController());
  runner.Add(MakeEndpointSliceController());
}

class World {
 public:
  World(uint64_t seed, bool loses_answers)
      : dice_(seed), env_(seed), store_(env_), client_(store_, dice_), loses_(loses_answers) {
    store_.Put(FromYaml<Node>("{metadata: {name: node}}"));
    store_.Put(FromYaml<Service>(
        "{metadata: {name: web, namespace: default}, spec: {clusterIP: 10.0.0.1, selector: {app: "
        "web}, ports: [{port: 80, targetPort: 80}]}}"));
    surge_ = dice_.Below(3);
    unavailable_ = surge_ == 0 ? 1 + dice_.Below(2) : dice_.Below(3);
    replicas_ = 1 + dice_.Below(6);
    Deployment web = FromYaml<Deployment>(R"(
metadata: {name: web, namespace: default, generation: 1}
spec:
  progressDeadlineSeconds: 600
  revisionHistoryLimit: 1
  selector: {matchLabels: {app: web}}
  strategy: {type: RollingUpdate, rollingUpdate: {maxSurge: 0, maxUnavailable: 0}}
  template:
    metadata: {labels: {app: web}}
    spec: {containers: [{name: web, image: "web:0"}]}
)");
    web.mutable_spec()->set_replicas(replicas_);
    auto* rolling = web.mutable_spec()->mutable_strategy()->mutable_rolling_update();
    rolling->mutable_max_surge()->set_int_val(surge_);
    rolling->mutable_max_unavailable()->set_int_val(unavailable_);
    store_.Put(std::move(web));
    client_.before_write = [this] { CheckBounds(); };
    process_.Restart();
  }

  // One after another: changes of the user under faults, then peace, then all is as it should be.
  void Run() {
    for (int phase = 0; phase < 4 && !::testing::Test::HasFailure(); ++phase) {
      SetFaults(true);
      const int changes = 1 + dice_.Below(3);
      for (int i = 0; i < changes; ++i) {
        Change();
        for (int step = dice_.Below(40); step >= 0; --step)
          Step();
      }
      SetFaults(false);
      if (client_.down) process_.Restart();
      for (int step = 0; step < 4000 && !Converged(); ++step)
        Step();
      ASSERT_EQ(Difference(), "") << "phase " << phase;
      // And there it rests.
      env_.Advance(std::chrono::seconds(60));
      const int64_t revision = store_.revision();
      env_.Advance(std::chrono::seconds(600));
      ASSERT_EQ(store_.revision(), revision) << "phase " << phase;
      lowest_ = highest_ = replicas_;
      bounded_ = true;
    }
  }

 private:
  void SetFaults(bool on) {
    client_.fail_percent = on ? 5 : 0;
    client_.conflict_percent = on ? 10 : 0;
    client_.lose_percent = on && loses_ ? 5 : 0;
    if (!on) client_.calls_until_down = -1;
    faults_ = on;
  }

  // What the user does. Pausing would make the end depend on the order, so nobody pauses.
  void Change() {
    Deployment web = *store_.Peek<Deployment>("default", "web");
    if (dice_.Percent(60)) {
      web.mutable_spec()->mutable_template_()->mutable_spec()->mutable_containers(0)->set_image(
          "web:" + std::to_string(dice_.Below(4)));
    } else {
      replicas_ = dice_.Below(8);
      lowest_ = std::min(lowest_, replicas_);
      highest_ = std::max(highest_, replicas_);
      web.mutable_spec()->set_replicas(replicas_);
    }
    web.mutable_metadata()->set_generation(web.metadata().generation() + 1);
    store_.Put(std::move(web));
    env_.RunUntilIdle();
  }

  void Step() {
    if (faults_ && dice_.Percent(5)) store_.BreakWatches(Status(Code::kUnavailable, "cut"));
    if (faults_ && dice_.Percent(2)) {
      store_.Compact(store_.revision());
      store_.BreakWatches(Status(Code::kExpired, "too old"));
    }
    if (faults_ && !client_.down && dice_.Percent(3))
      client_.calls_until_down = 1 + dice_.Below(20);
    if (client_.down && dice_.Percent(30)) process_.Restart();
    RunNodes();
    env_.Advance(milliseconds(1 + dice_.Below(1000)));
  }

  // The node's part: pods start, become ready and end, each in its own time.
  void RunNodes() {
    for (const api::Ref<Pod>& pod : store_.All<Pod>()) {
      if (dice_.Percent(50)) continue;
      if (api::IsBeingDeleted(pod->metadata())) {
        store_.Remove<Pod>("default", pod->metadata().name());
        continue;
      }
      if (api::IsReady(*pod)) continue;
      Pod next = *pod;
      if (pod->spec().node_name().empty()) {
        next.mutable_spec()->set_node_name("node");
        const std::string ip = "10.1.0." + std::to_string(++last_address_);
        next.mutable_status()->set_phase("Running");
        next.mutable_status()->set_pod_ip(ip);
        next.mutable_status()->add_pod_ips()->set_ip(ip);
      } else {
        auto* ready = next.mutable_status()->add_conditions();
        ready->set_type("Ready");
        ready->set_status("True");
        api::SetTime(env_.Now(), ready->mutable_last_transition_time());
      }
      store_.Put(std::move(next));
    }
    env_.RunUntilIdle();
  }

  // Holds at every step of every rollout. What is wanted in sum is bounded, as in Kubernetes, and
  // not the pods of a moment: one set may be slower to shrink than another is to grow.
  void CheckBounds() {
    int wanted = 0, available = 0;
    for (const api::Ref<ReplicaSet>& set : store_.All<ReplicaSet>())
      wanted += set->spec().replicas();
    for (const api::Ref<Pod>& pod : store_.All<Pod>()) {
      if (api::IsActive(*pod) && api::IsReady(*pod)) ++available;
    }
    EXPECT_LE(wanted, highest_ + surge_);
    if (bounded_) {
      EXPECT_GE(available, lowest_ - unavailable_);
    }
  }

  bool Converged() const { return Difference().empty(); }

  // What is not yet as it was asked for; empty when all is.
  std::string Difference() const {
    const auto web = store_.Peek<Deployment>("default", "web");
    const auto& status = web->status();
    std::string text;
    auto expect = [&](const std::string& what, int64_t has, int64_t want) {
      if (has != want)
        text += what + " " + std::to_string(has) + " for " + std::to_string(want) + "; ";
    };
    expect("observed generation", status.observed_generation(), web->metadata().generation());
    expect("replicas", status.replicas(), replicas_);
    expect("updated", status.updated_replicas(), replicas_);
    expect("available", status.available_replicas(), replicas_);
    int sets = 0;
    std::string current;
    for (const api::Ref<ReplicaSet>& set : store_.All<ReplicaSet>()) {
      ++sets;
      const bool is_current = SameTemplate(set->spec().template_(), web->spec().template_());
      expect(set->metadata().name(), set->spec().replicas(), is_current ? replicas_ : 0);
      if (is_current) current = set->metadata().uid();
    }
    if (sets > 2) text += "sets beyond the history; ";
    std::set<std::string> serving, shown;
    int pods = 0;
    for (const api::Ref<Pod>& pod : store_.All<Pod>()) {
      ++pods;
      if (!api::IsControlledBy(pod->metadata(), current))
        text += pod->metadata().name() + " is of another set; ";
      if (api::IsReady(*pod)) serving.insert(pod->status().pod_ip());
    }
    expect("pods", pods, replicas_);
    for (const api::Ref<EndpointSlice>& slice : store_.All<EndpointSlice>()) {
      for (const auto& endpoint : slice->endpoints()) {
        if (endpoint.conditions().ready()) shown.insert(endpoint.addresses(0));
      }
    }
    if (serving != shown) text += "endpoints are not the pods that are ready; ";
    return text;
  }

  Dice dice_;
  VirtualEnv env_;
  client::FakeClient store_;
  FaultyClient client_;
  const bool loses_;
  int replicas_ = 0, surge_ = 0, unavailable_ = 0;
  // The range of replicas that were asked for since all was as it should be.
  int lowest_ = 0, highest_ = 7;
  bool bounded_ = false;  // there is something whose availability can be kept
  bool faults_ = false;
  int last_address_ = 0;
  RestartingProcess process_{env_, client_, AddControllers};
};

TEST(Simulation, WhatIsWantedComesAboutAndRolloutsKeepTheirBounds) {
  for (uint64_t seed = 1; seed <= 20; ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    World world(seed, seed % 4 == 0);
    world.Run();
    if (::testing::Test::HasFailure()) return;
  }
}

}  // namespace
}  // namespace gantry::controllers
