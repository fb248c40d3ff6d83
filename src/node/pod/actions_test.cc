#include "node/pod/actions.h"

#include <gtest/gtest.h>
#include <stdlib.h>

#include "api/core/v1/pod_status.pb.h"
#include "base/check.h"
#include "node/os/fs.h"
#include "node/pod/status.h"

// Both pure functions of a pod, from the same rows: what a pod's containers have done so far, then
// what is done next and what the status says.
namespace gantry::node {
namespace {

using api::core::v1::Pod;

class PodPlan : public ::testing::Test {
 protected:
  PodPlan() {
    GANTRY_CHECK(mkdtemp(dir_.data()) != nullptr, "mkdtemp");
    paths_ = std::make_unique<Paths>(dir_);
  }
  ~PodPlan() override { (void)RemoveTree(dir_); }

  // "name:r" running, "name:N" ended with code N, in order; a name again is its next run. Names of
  // `init` and `side` are init containers and sidecars.
  struct World {
    std::string policy = "Always";
    std::vector<std::string> init, side, main = {"main"};
    std::vector<std::pair<std::string, std::string>> runs;
    bool sandbox = true;
    std::map<std::string, ProbeResults, std::less<>> probes;
  };

  void Build(const World& world) {
    pod_ = Pod();
    pod_.mutable_metadata()->set_uid("u" + std::to_string(++count_));
    pod_.mutable_spec()->set_restart_policy(world.policy);
    for (const std::string& name : world.init)
      pod_.mutable_spec()->add_init_containers()->set_name(name);
    for (const std::string& name : world.side) {
      auto* side = pod_.mutable_spec()->add_init_containers();
      side->set_name(name);
      side->set_restart_policy("Always");
    }
    for (const std::string& name : world.main)
      pod_.mutable_spec()->add_containers()->set_name(name);
    containers_ = std::make_unique<ContainerList>(pod_);
    auto files = std::make_unique<RunRecordFiles>(*paths_);
    runs_ = std::make_unique<ContainerRuns>(std::move(files), pod_.metadata().uid());
    WallTime now{std::chrono::seconds(1000)};
    for (const auto& [name, state] : world.runs) {
      auto run = runs_->Begin(*containers_->Find(name)->spec, 1, name + "-id", "image", "image-id",
                              dir_, now);
      ASSERT_TRUE(run.ok());
      ASSERT_TRUE(runs_->MarkStarted(**run, 1, now).ok());
      if (state == "r") continue;
      runs_->MarkFailed(**run, state == "0" ? "Completed" : "Error", "", now);
      (*run)->exit_code = std::stoi(state);
    }
    observed_ = ObservedPod();
    observed_.runs = runs_.get();
    observed_.sandbox = 1;
    observed_.sandbox_ready = world.sandbox;
    observed_.probes = world.probes;
  }

  std::string Plan(const World& world) {
    Build(world);
    PodActions actions = ComputeActions(pod_, *containers_, observed_);
    std::string out;
    if (actions.finished) out += "finished ";
    if (actions.create_sandbox) out += "sandbox ";
    for (const auto& victim : actions.kill)
      out += "kill(" + victim.name + ") ";
    for (const auto& name : actions.start)
      out += "start(" + name + ") ";
    return out;
  }

  api::core::v1::PodStatus Status(const World& world,
                                  std::map<std::string, WaitingReason, std::less<>> waiting = {}) {
    Build(world);
    StatusInputs inputs;
    inputs.pod = &pod_;
    inputs.containers = containers_.get();
    inputs.observed = observed_;
    inputs.waiting = std::move(waiting);
    inputs.pod_ips = {"10.0.0.1"};
    inputs.now = WallTime(std::chrono::seconds(2000));
    return BuildPodStatus(inputs);
  }

  std::string dir_ = "/tmp/gantry-plan-XXXXXX";
  std::unique_ptr<Paths> paths_;
  int count_ = 0;
  Pod pod_;
  std::unique_ptr<ContainerList> containers_;
  std::unique_ptr<ContainerRuns> runs_;
  ObservedPod observed_;
};

TEST_F(PodPlan, NextSteps) {
  struct Row {
    const char* what;
    World world;
    const char* plan;
    const char* phase;
  };
  const ProbeResults kFailedLiveness{false, std::nullopt, std::nullopt};
  const std::vector<Row> kRows = {
      {"new", {.sandbox = false}, "sandbox ", "Pending"},
      {"sandbox ready", {}, "start(main) ", "Pending"},
      {"running", {.runs = {{"main", "r"}}}, "", "Running"},
      {"crashed", {.runs = {{"main", "1"}}}, "start(main) ", "Running"},
      {"crashed, never", {.policy = "Never", .runs = {{"main", "1"}}}, "finished ", "Failed"},
      {"done, on failure",
       {.policy = "OnFailure", .runs = {{"main", "0"}}},
       "finished ",
       "Succeeded"},
      {"failed, on failure",
       {.policy = "OnFailure", .runs = {{"main", "2"}}},
       "start(main) ",
       "Running"},
      {"sandbox lost",
       {.runs = {{"main", "r"}}, .sandbox = false},
       "sandbox kill(main) ",
       "Running"},
      {"done, then sandbox lost",
       {.policy = "Never", .runs = {{"main", "0"}}, .sandbox = false},
       "finished ",
       "Succeeded"},
      {"one of two is done",
       {.policy = "OnFailure", .main = {"a", "b"}, .runs = {{"a", "0"}, {"b", "r"}}},
       "",
       "Running"},
      {"first init", {.init = {"i1", "i2"}}, "start(i1) ", "Pending"},
      {"init runs", {.init = {"i1", "i2"}, .runs = {{"i1", "r"}}}, "", "Pending"},
      {"second init", {.init = {"i1", "i2"}, .runs = {{"i1", "0"}}}, "start(i2) ", "Pending"},
      {"inits done", {.init = {"i1"}, .runs = {{"i1", "0"}}}, "start(main) ", "Pending"},
      {"init failed", {.init = {"i1"}, .runs = {{"i1", "1"}}}, "start(i1) ", "Pending"},
      {"init failed, never",
       {.policy = "Never", .init = {"i1"}, .runs = {{"i1", "1"}}},
       "finished ",
       "Failed"},
      {"sidecar first", {.side = {"s"}}, "start(s) ", "Pending"},
      {"sidecar runs", {.side = {"s"}, .runs = {{"s", "r"}}}, "start(main) ", "Pending"},
      {"sidecar crashed",
       {.side = {"s"}, .runs = {{"s", "1"}, {"main", "r"}}},
       "start(s) ",
       "Running"},
      {"sidecar outlives",
       {.policy = "Never", .side = {"s"}, .runs = {{"s", "r"}, {"main", "0"}}},
       "finished ",
       "Running"},
      {"not live",
       {.runs = {{"main", "r"}}, .probes = {{"main", kFailedLiveness}}},
       "kill(main) ",
       "Running"},
  };
  for (const Row& row : kRows) {
    EXPECT_EQ(Plan(row.world), row.plan) << row.what;
    EXPECT_EQ(Status(row.world).phase(), row.phase) << row.what;
  }
}

TEST_F(PodPlan, StatusNamesWhatIsNotReady) {
  auto condition = [](const api::core::v1::PodStatus& status, const std::string& type) {
    for (const auto& c : status.conditions()) {
      if (c.type() == type) return c.status() + "|" + c.reason() + "|" + c.message();
    }
    return std::string("absent");
  };
  World waiting{.main = {"a", "b"}, .runs = {{"a", "r"}}};
  auto status = Status(waiting, {{"b", {"ImagePullBackOff", "Back-off pulling image \"x\""}}});
  EXPECT_EQ(condition(status, "Ready"),
            "False|ContainersNotReady|containers with unready status: [b]");
  EXPECT_EQ(condition(status, "Initialized"), "True||");
  EXPECT_EQ(condition(status, "PodScheduled"), "True||");
  EXPECT_EQ(condition(status, "PodReadyToStartContainers"), "True||");
  EXPECT_EQ(status.container_statuses(1).state().waiting().reason(), "ImagePullBackOff");
  status = Status({.init = {"i"}, .runs = {{"i", "r"}}});
  EXPECT_EQ(condition(status, "Initialized"),
            "False|ContainersNotInitialized|containers with incomplete status: [i]");
  EXPECT_EQ(status.container_statuses(0).state().waiting().reason(), "PodInitializing");
  status = Status({.runs = {{"main", "1"}}}, {{"main", {"CrashLoopBackOff", "back-off"}}});
  EXPECT_EQ(status.container_statuses(0).state().waiting().reason(), "CrashLoopBackOff");
  EXPECT_EQ(status.container_statuses(0).last_state().terminated().exit_code(), 1);
  status = Status({.runs = {{"main", "1"}, {"main", "r"}}});
  EXPECT_EQ(status.container_statuses(0).restart_count(), 1);
  EXPECT_EQ(status.container_statuses(0).last_state().terminated().exit_code(), 1);
  EXPECT_EQ(condition(status, "Ready"), "True||");
}

TEST_F(PodPlan, StatusOfWhatTheNodeEnded) {
  Build({});
  StatusInputs inputs;
  inputs.pod = &pod_;
  inputs.containers = containers_.get();
  inputs.observed = observed_;
  inputs.end_reason = "OutOfcpu";
  inputs.end_message = "Pod was rejected: no room";
  inputs.rejected = true;
  auto status = BuildPodStatus(inputs);
  EXPECT_EQ(status.phase() + "|" + status.reason() + "|" + status.message(),
            "Failed|OutOfcpu|Pod was rejected: no room");
  EXPECT_TRUE(status.container_statuses().empty());
  // It stays so when nobody remembers why.
  *pod_.mutable_status() = status;
  inputs.end_reason = inputs.end_message = "";
  inputs.rejected = false;
  EXPECT_EQ(BuildPodStatus(inputs).SerializeAsString(), status.SerializeAsString());

  Build({.runs = {{"main", "137"}}});
  inputs.containers = containers_.get();
  inputs.observed = observed_;
  inputs.end_reason = "Evicted";
  inputs.end_message = "too much";
  inputs.all_ended = inputs.ending = true;
  status = BuildPodStatus(inputs);
  EXPECT_EQ(status.phase() + "|" + status.reason(), "Failed|Evicted");
  bool disrupted = false;
  for (const auto& c : status.conditions()) {
    disrupted |= c.type() == "DisruptionTarget" && c.status() == "True" &&
                 c.reason() == "TerminationByKubelet" && c.message() == "too much";
  }
  EXPECT_TRUE(disrupted);
}

// All containers' messages together take 12 KiB at most, and no character is cut in two.
TEST_F(PodPlan, TerminationMessagesShareABudget) {
  World world;
  world.init = {"init"};
  world.main = {"a", "b", "c", "d", "e"};
  for (const char* name : {"init", "a", "b", "c", "d", "e"})
    world.runs.emplace_back(name, "0");
  Build(world);
  runs_->SetMessage(*runs_->MutableLatest("a"), std::string(4096, 'x'));
  std::string umlauts;
  while (umlauts.size() < 4096)
    umlauts += "\xC3\xA4";
  runs_->SetMessage(*runs_->MutableLatest("b"), "x" + umlauts);
  runs_->SetMessage(*runs_->MutableLatest("c"), "short");
  StatusInputs inputs;
  inputs.pod = &pod_;
  inputs.containers = containers_.get();
  inputs.observed = observed_;
  auto status = BuildPodStatus(inputs);
  auto message = [&status](int i) {
    return status.container_statuses(i).state().terminated().message();
  };
  EXPECT_EQ(message(0).size(), 2048u);
  EXPECT_EQ(message(1).size(), 2047u);
  EXPECT_EQ(message(2), "short");
}

// What was begun and never started is forgotten; what failed to start has been.
TEST_F(PodPlan, UnstartedRunsAreTakenOut) {
  Build({.main = {"a", "b", "c"}});
  WallTime now{std::chrono::seconds(1000)};
  for (const char* name : {"a", "b", "c"}) {
    auto run = runs_->Begin(*containers_->Find(name)->spec, 1, std::string(name) + "-id", "image",
                            "image-id", dir_, now);
    ASSERT_TRUE(run.ok());
    if (*name == 'b') runs_->MarkFailed(**run, "StartError", "no such file", now);
    if (*name == 'c') ASSERT_TRUE(runs_->MarkStarted(**run, 1, now).ok());
  }
  const std::vector<ContainerRun> unstarted = runs_->TakeUnstarted();
  ASSERT_EQ(unstarted.size(), 1u);
  EXPECT_EQ(unstarted[0].id, "a-id");
  EXPECT_EQ(runs_->Latest("a"), nullptr);
  EXPECT_NE(runs_->Latest("b"), nullptr);
  EXPECT_NE(runs_->Latest("c"), nullptr);
}

}  // namespace
}  // namespace gantry::node
