#pragma once

#include <gtest/gtest.h>

#include <string>

#include "api/testing/from_yaml.h"
#include "scheduler/evaluation/evaluations.h"
#include "scheduler/plugins/profile.h"
#include "scheduler/preemption/preemption.h"

namespace gantry::scheduler {

// A cluster in a table, for tests of what the rules say. Objects are written as flow YAML.
class PlacingTest : public ::testing::Test {
 protected:
  static PodInfoPtr MakePod(const std::string& name, const std::string& spec,
                            const std::string& labels = "{}", const std::string& ns = "default",
                            const std::string& more = "") {
    return std::make_shared<const PodInfo>(api::testing::RefFromYaml<api::core::v1::Pod>(
        "{metadata: {name: \"" + name + "\", namespace: " + ns + ", uid: \"" + name +
        "\", labels: " + labels + more + "}, spec: " + spec + "}"));
  }
  // `labels` as "zone: a, disk: ssd", beside the host name.
  void AddNode(const std::string& name, const std::string& more = "", const std::string& cpu = "2",
               const std::string& labels = "") {
    nodes_.PutNode(api::testing::RefFromYaml<api::core::v1::Node>(
        "{metadata: {name: " + name + ", labels: {kubernetes.io/hostname: " + name +
        (labels.empty() ? "" : ", " + labels) + "}}, status: {allocatable: {cpu: \"" + cpu +
        "\", memory: 4Gi, pods: \"110\"}}" + more + "}"));
  }
  void AddZoneNode(const std::string& name, const std::string& zone) {
    AddNode(name, "", "100", "zone: " + zone);
  }
  void AddPod(const std::string& name, const std::string& node, const std::string& labels = "{}",
              const std::string& spec = "{containers: [{name: c}]}",
              const std::string& ns = "default") {
    nodes_.PutPod(MakePod(name, spec, labels, ns), node);
  }

  Evaluation& EvaluationOf(const PodInfoPtr& pod) { return evaluations_.For(profile_, pod); }
  // The node; or why there is none, with what preemption would do.
  std::string Place(const PodInfoPtr& pod) {
    Evaluation& evaluation = EvaluationOf(pod);
    const size_t slot = evaluation.Best(*pod, 0);
    if (slot != NodeTable::kNoSlot) return nodes_.slots()[slot].name;
    Explanation explanation = evaluation.Explain(*pod);
    explanation.preemption =
        PlanPreemption(evaluation, nodes_, facts_, Profile::Preemption(), *pod, 0).message;
    return "none: " + explanation.Message();
  }
  // All nodes that pass with their scores: "a=110 b=90".
  std::string Scores(const PodInfoPtr& pod) {
    std::string text;
    for (const Evaluation::Scored& scored : EvaluationOf(pod).Feasible(*pod)) {
      if (!text.empty()) text += ' ';
      text += nodes_.slots()[scored.slot].name + "=" + std::to_string(scored.score);
    }
    return text;
  }
  // The nodes that pass: "a b".
  std::string Passing(const PodInfoPtr& pod) {
    std::string text;
    for (const Evaluation::Scored& scored : EvaluationOf(pod).Feasible(*pod))
      text += (text.empty() ? "" : " ") + nodes_.slots()[scored.slot].name;
    return text;
  }
  // Only this rule scores, with weight 1.
  void ScoreOnly(const std::string& rule, PluginArgs args = PluginArgs()) {
    ProfileConfig config;
    config.scores = {{rule, 1}};
    config.args = std::move(args);
    config.name = "scores-" + rule + std::to_string(++profiles_);
    profile_ = MakeProfile(config, nodes_);
  }

  NodeTable nodes_;
  ClusterFacts facts_;
  Profile profile_ = MakeProfile(ProfileConfig(), nodes_);
  Evaluations evaluations_{nodes_, facts_};
  int profiles_ = 0;
};

}  // namespace gantry::scheduler
