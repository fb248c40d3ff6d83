#include "sim/workload.h"

#include <algorithm>
#include <utility>

#include "api/apps/v1/stateful_set.pb.h"
#include "api/core/v1/namespace.pb.h"
#include "api/core/v1/pod.pb.h"
#include "api/core/v1/service.pb.h"
#include "api/testing/from_yaml.h"
#include "base/env/spawn.h"
#include "client/typed.h"
#include "sim/manifests.h"

namespace gantry::sim {

using api::apps::v1::Deployment;
using api::apps::v1::StatefulSet;
using api::core::v1::Namespace;
using api::core::v1::Pod;
using api::core::v1::Service;
using api::testing::FromYaml;
using std::chrono::milliseconds;
using std::chrono::seconds;

Workload::Workload(Cluster& cluster)
    : cluster_(cluster), world_(cluster.world()), dice_(cluster.world().dice().Next()) {}

void Workload::Start() {
  Executor executor = cluster_.user().executor();
  for (const char* name : {"web", "api"})
    Spawn(executor, gate_, "app", OwnApp("default", name));
  Spawn(executor, gate_, "tenant", OwnTenant("team"));
  Spawn(executor, gate_, "identity", OwnIdentities("default", "db"));
  Spawn(executor, gate_, "jobs", OwnJobs("default"));
  Spawn(executor, gate_, "daemons", OwnDaemons("default", "log"));
  Spawn(executor, gate_, "nodes", OperateNodes());
  Spawn(executor, gate_, "lost nodes", ReplaceLostNodes());
}

Task<> Workload::Finish() {
  finishing_ = true;
  stop_.Cancel();
  co_await gate_.Close(cluster_.user());
}

Task<> Workload::Rest(Duration least, Duration most) {
  co_await SleepFor(cluster_.user(), dice_.Between(least, most), stop_.token());
}

Task<> Workload::Insist(std::string what, std::function<Task<Status>()> act) {
  while (cluster_.user().alive()) {
    Status done = co_await act();
    if (done.ok()) {
      world_.Tell("user: " + what);
      co_return;
    }
    co_await SleepFor(cluster_.user(), dice_.Between(milliseconds(100), seconds(2)),
                      cluster_.user().death());
  }
}

Task<> Workload::CreateApp(std::string ns, std::string name) {
  Wanted::App app;
  app.exists = true;
  app.replicas = 1 + dice_.Below(4);
  app.image = name + ":good-" + std::to_string(++last_version_);
  app.service = true;
  Deployment deployment = FromYaml<Deployment>(With(With(With(R"(
metadata: {name: NAME, labels: {app: NAME}}
spec:
  selector: {matchLabels: {app: NAME}}
  template:
    metadata: {labels: {app: NAME}}
    spec:)" + std::string(kContainers),
                                                              "NAME", name),
                                                         "IMAGE", app.image),
                                                    "GRACE", std::to_string(1 + dice_.Below(10))));
  deployment.mutable_metadata()->set_namespace_(ns);
  deployment.mutable_spec()->set_replicas(app.replicas);
  deployment.mutable_spec()->mutable_strategy()->set_type("RollingUpdate");
  const int surge = dice_.Below(3);
  auto* rolling = deployment.mutable_spec()->mutable_strategy()->mutable_rolling_update();
  if (surge == 2 && dice_.Percent(50)) {
    rolling->mutable_max_surge()->set_type(1);
    rolling->mutable_max_surge()->set_str_val("34%");
  } else {
    rolling->mutable_max_surge()->set_int_val(surge);
  }
  rolling->mutable_max_unavailable()->set_int_val(surge == 0 ? 1 + dice_.Below(2) : dice_.Below(3));
  Service service = FromYaml<Service>(
      With("{metadata: {name: NAME}, spec: {selector: {app: NAME}, ports: [{port: 80}]}}", "NAME",
           name));
  service.mutable_metadata()->set_namespace_(ns);

  auto create = [this, deployment]() -> Task<Status> {
    Result<api::Ref<Deployment>> made =
        co_await client::Create<Deployment>(cluster_.user_client(), deployment);
    co_return IsAny(made.status(), {Code::kAlreadyExists}) ? Status::Ok() : made.status();
  };
  auto serve = [this, service]() -> Task<Status> {
    Result<api::Ref<Service>> made =
        co_await client::Create<Service>(cluster_.user_client(), service);
    co_return IsAny(made.status(), {Code::kAlreadyExists}) ? Status::Ok() : made.status();
  };
  co_await Insist("creates deployment " + ns + "/" + name + " with " + std::to_string(app.replicas),
                  create);
  co_await Insist("creates service " + ns + "/" + name, serve);
  wanted_.apps[{ns, name}] = std::move(app);
}

Task<> Workload::ChangeApp(std::string ns, std::string name,
                           std::function<void(Deployment&)> change) {
  auto act = [this, ns, name, change]() -> Task<Status> {
    Result<api::Ref<Deployment>> found =
        co_await client::Get<Deployment>(cluster_.user_client(), ns, name);
    GANTRY_CO_TRY(found);
    Deployment changed = **found;
    change(changed);
    Result<api::Ref<Deployment>> written =
        co_await client::Update<Deployment>(cluster_.user_client(), std::move(changed));
    co_return written.status();
  };
  co_await Insist("changes " + ns + "/" + name, act);
}

Task<> Workload::DeleteApp(std::string ns, std::string name) {
  wanted_.apps[{ns, name}].exists = false;
  // A deletion whose answer is lost and that is asked for again finds nothing: that is done.
  auto remove = [this, ns, name]() -> Task<Status> {
    client::DeleteOptions options;
    if (dice_.Percent(30)) options.propagation_policy = "Foreground";
    Status gone =
        co_await client::Delete<Deployment>(cluster_.user_client(), ns, name, std::move(options));
    co_return IsAny(gone, {Code::kNotFound}) ? Status::Ok() : gone;
  };
  auto remove_service = [this, ns, name]() -> Task<Status> {
    Status gone = co_await client::Delete<Service>(cluster_.user_client(), ns, name);
    co_return IsAny(gone, {Code::kNotFound}) ? Status::Ok() : gone;
  };
  co_await Insist("deletes deployment " + ns + "/" + name, remove);
  co_await Insist("deletes service " + ns + "/" + name, remove_service);
  // A new one of that name comes when the old one is gone: foreground deletion takes its time.
  auto absent = [this, ns, name]() -> Task<Status> {
    Result<api::Ref<Deployment>> found =
        co_await client::Get<Deployment>(cluster_.user_client(), ns, name);
    if (found.code() == Code::kNotFound) co_return Status::Ok();
    co_return Unavailable("it is still there");
  };
  co_await Insist("sees that " + ns + "/" + name + " is gone", absent);
}

Task<> Workload::OwnApp(std::string ns, std::string name) {
  co_await CreateApp(ns, name);
  while (!finishing_) {
    co_await Rest(milliseconds(100), seconds(30));
    if (finishing_) break;
    Wanted::App& app = wanted_.apps[{ns, name}];
    const int pick = dice_.Below(100);
    if (pick < 35) {
      app.replicas = dice_.Below(6);
      const int replicas = app.replicas;
      world_.Tell("user: wants " + std::to_string(replicas) + " of " + ns + "/" + name);
      auto scale = [replicas](Deployment& d) { d.mutable_spec()->set_replicas(replicas); };
      co_await ChangeApp(ns, name, scale);
    } else if (pick < 85) {
      static constexpr const char* kVersions[] = {"good",  "good",    "good",
                                                  "crash", "unready", "missing"};
      const std::string version = kVersions[dice_.Below(6)];
      app.image = name + ":" + version + "-" + std::to_string(++last_version_);
      world_.Tell("user: wants " + app.image);
      auto roll = [image = app.image](Deployment& d) {
        d.mutable_spec()->mutable_template_()->mutable_spec()->mutable_containers(0)->set_image(
            image);
      };
      co_await ChangeApp(ns, name, roll);
    } else {
      co_await DeleteApp(ns, name);
      if (finishing_ || dice_.Percent(50)) co_await Rest(milliseconds(10), seconds(10));
      co_await CreateApp(ns, name);
    }
  }
  Wanted::App& app = wanted_.apps[{ns, name}];
  if (app.image.find(":good") != std::string::npos) co_return;
  app.image = name + ":good-" + std::to_string(++last_version_);
  auto mend = [image = app.image](Deployment& d) {
    d.mutable_spec()->mutable_template_()->mutable_spec()->mutable_containers(0)->set_image(image);
  };
  co_await ChangeApp(ns, name, mend);
}

Task<> Workload::OwnTenant(std::string ns) {
  while (!finishing_) {
    co_await Rest(milliseconds(100), seconds(40));
    if (finishing_) break;
    auto create = [this, ns]() -> Task<Status> {
      Namespace object;
      object.mutable_metadata()->set_name(ns);
      Result<api::Ref<Namespace>> made =
          co_await client::Create<Namespace>(cluster_.user_client(), std::move(object));
      co_return IsAny(made.status(), {Code::kAlreadyExists}) ? Status::Ok() : made.status();
    };
    co_await Insist("creates namespace " + ns, create);
    wanted_.tenants[ns] = true;
    co_await CreateApp(ns, "shop");
    co_await Rest(seconds(1), seconds(60));
    if (finishing_ && dice_.Percent(50)) break;
    wanted_.tenants[ns] = false;
    wanted_.apps.erase({ns, "shop"});
    auto remove = [this, ns]() -> Task<Status> {
      std::string none;
      Status gone = co_await client::Delete<Namespace>(cluster_.user_client(), none, ns);
      co_return IsAny(gone, {Code::kNotFound, Code::kConflict}) ? Status::Ok() : gone;
    };
    co_await Insist("deletes namespace " + ns, remove);
    auto absent = [this, ns]() -> Task<Status> {
      std::string none;
      Result<api::Ref<Namespace>> found =
          co_await client::Get<Namespace>(cluster_.user_client(), none, ns);
      if (found.code() == Code::kNotFound) co_return Status::Ok();
      co_return Unavailable("it is still there");
    };
    co_await Insist("sees that namespace " + ns + " is gone", absent);
  }
}

// Pods with names of their own: scaled, rolled, deleted one by one.
Task<> Workload::OwnIdentities(std::string ns, std::string name) {
  Wanted::Identities& wanted = wanted_.identities[{ns, name}];
  wanted.replicas = 1 + dice_.Below(3);
  wanted.image = name + ":good-" + std::to_string(++last_version_);
  StatefulSet set = FromYaml<StatefulSet>(With(With(With(R"(
metadata: {name: NAME, labels: {app: NAME}}
spec:
  serviceName: NAME
  selector: {matchLabels: {app: NAME}}
  template:
    metadata: {labels: {app: NAME}}
    spec:)" + std::string(kContainers),
                                                         "NAME", name),
                                                    "IMAGE", wanted.image),
                                               "GRACE", std::to_string(1 + dice_.Below(10))));
  set.mutable_metadata()->set_namespace_(ns);
  set.mutable_spec()->set_replicas(wanted.replicas);
  if (dice_.Percent(50)) set.mutable_spec()->set_pod_management_policy("Parallel");
  auto create = [this, set]() -> Task<Status> {
    Result<api::Ref<StatefulSet>> made =
        co_await client::Create<StatefulSet>(cluster_.user_client(), set);
    co_return IsAny(made.status(), {Code::kAlreadyExists}) ? Status::Ok() : made.status();
  };
  co_await Insist("creates stateful set " + ns + "/" + name, create);
  while (!finishing_) {
    co_await Rest(seconds(1), seconds(30));
    if (finishing_) break;
    const int pick = dice_.Below(100);
    if (pick < 50) {
      std::string pod = name + "-" + std::to_string(dice_.Below(3));
      auto remove = [this, ns, pod]() -> Task<Status> {
        Status gone = co_await client::Delete<Pod>(cluster_.user_client(), ns, pod);
        co_return IsAny(gone, {Code::kNotFound}) ? Status::Ok() : gone;
      };
      co_await Insist("deletes pod " + pod, remove);
      continue;
    }
    if (pick < 75) {
      wanted.replicas = dice_.Below(4);
    } else {
      wanted.image = name + ":good-" + std::to_string(++last_version_);
    }
    auto act = [this, ns, name]() -> Task<Status> {
      Result<api::Ref<StatefulSet>> found =
          co_await client::Get<StatefulSet>(cluster_.user_client(), ns, name);
      GANTRY_CO_TRY(found);
      const Wanted::Identities& wanted = wanted_.identities[{ns, name}];
      StatefulSet changed = **found;
      changed.mutable_spec()->set_replicas(wanted.replicas);
      changed.mutable_spec()->mutable_template_()->mutable_spec()->mutable_containers(0)->set_image(
          wanted.image);
      Result<api::Ref<StatefulSet>> written =
          co_await client::Update<StatefulSet>(cluster_.user_client(), std::move(changed));
      co_return written.status();
    };
    co_await Insist("wants " + std::to_string(wanted.replicas) + " of " + wanted.image, act);
  }
}

}  // namespace gantry::sim
