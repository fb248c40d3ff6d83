// Jobs, and daemons on every node.

#include <utility>

#include "api/apps/v1/daemon_set.pb.h"
#include "api/batch/v1/job.pb.h"
#include "api/testing/from_yaml.h"
#include "client/typed.h"
#include "sim/manifests.h"
#include "sim/workload.h"

namespace gantry::sim {

using api::apps::v1::DaemonSet;
using api::batch::v1::Job;
using api::testing::FromYaml;
using std::chrono::seconds;

// Programs that end, some of them not at the first try; each Job is to have as many successes as it
// wants, and some are deleted before they have.
Task<> Workload::OwnJobs(std::string ns) {
  while (!finishing_) {
    co_await Rest(seconds(1), seconds(40));
    if (finishing_) break;
    std::string name = "batch-" + std::to_string(++last_version_);
    Job job = FromYaml<Job>(With(With(With(R"(
metadata: {name: NAME}
spec:
  backoffLimit: 1000
  template:
    metadata: {labels: {app: NAME}}
    spec:
      restartPolicy: POLICY
      automountServiceAccountToken: false
      containers:
      - name: main
        image: "NAME:BEHAVIOUR"
        resources: {requests: {cpu: 100m}}
)",
                                           "NAME", name),
                                      "POLICY", dice_.Percent(50) ? "Never" : "OnFailure"),
                                 "BEHAVIOUR", dice_.Percent(70) ? "done" : "flaky"));
    const int completions = 1 + dice_.Below(4);
    job.mutable_metadata()->set_namespace_(ns);
    job.mutable_spec()->set_completions(completions);
    job.mutable_spec()->set_parallelism(1 + dice_.Below(3));
    auto create = [this, job]() -> Task<Status> {
      Result<api::Ref<Job>> made = co_await client::Create<Job>(cluster_.user_client(), job);
      co_return IsAny(made.status(), {Code::kAlreadyExists}) ? Status::Ok() : made.status();
    };
    co_await Insist("creates job " + name + " for " + std::to_string(completions), create);
    wanted_.jobs[{ns, name}] = completions;
    if (!dice_.Percent(30)) continue;
    co_await Rest(seconds(1), seconds(10));
    auto remove = [this, ns, name]() -> Task<Status> {
      client::DeleteOptions options;
      options.propagation_policy = "Background";
      Status gone =
          co_await client::Delete<Job>(cluster_.user_client(), ns, name, std::move(options));
      co_return IsAny(gone, {Code::kNotFound}) ? Status::Ok() : gone;
    };
    co_await Insist("deletes job " + name, remove);
    wanted_.jobs[{ns, name}] = 0;
  }
}

Task<> Workload::OwnDaemons(std::string ns, std::string name) {
  std::string& image = wanted_.daemons[{ns, name}];
  image = name + ":good-" + std::to_string(++last_version_);
  DaemonSet set = FromYaml<DaemonSet>(With(With(R"(
metadata: {name: NAME, labels: {app: NAME}}
spec:
  selector: {matchLabels: {app: NAME}}
  template:
    metadata: {labels: {app: NAME}}
    spec:
      automountServiceAccountToken: false
      terminationGracePeriodSeconds: 3
      containers:
      - name: main
        image: "IMAGE"
        readinessProbe: {tcpSocket: {port: 80}}
)",
                                                "NAME", name),
                                           "IMAGE", image));
  set.mutable_metadata()->set_namespace_(ns);
  auto create = [this, set]() -> Task<Status> {
    Result<api::Ref<DaemonSet>> made =
        co_await client::Create<DaemonSet>(cluster_.user_client(), set);
    co_return IsAny(made.status(), {Code::kAlreadyExists}) ? Status::Ok() : made.status();
  };
  co_await Insist("creates daemon set " + name, create);
  while (!finishing_) {
    co_await Rest(seconds(10), seconds(60));
    if (finishing_) break;
    image = name + ":good-" + std::to_string(++last_version_);
    auto roll = [this, ns, name]() -> Task<Status> {
      Result<api::Ref<DaemonSet>> found =
          co_await client::Get<DaemonSet>(cluster_.user_client(), ns, name);
      GANTRY_CO_TRY(found);
      DaemonSet changed = **found;
      changed.mutable_spec()->mutable_template_()->mutable_spec()->mutable_containers(0)->set_image(
          wanted_.daemons[{ns, name}]);
      Result<api::Ref<DaemonSet>> written =
          co_await client::Update<DaemonSet>(cluster_.user_client(), std::move(changed));
      co_return written.status();
    };
    co_await Insist("wants daemons of " + image, roll);
  }
}

}  // namespace gantry::sim
