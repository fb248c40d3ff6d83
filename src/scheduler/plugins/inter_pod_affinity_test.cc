#include "scheduler/testing/placing_test.h"

namespace gantry::scheduler {
namespace {

constexpr char kNoAffinity[] = "node(s) didn't match pod affinity rules";
constexpr char kAnti[] = "node(s) didn't match pod anti-affinity rules";
constexpr char kExisting[] = "node(s) didn't satisfy existing pods anti-affinity rules";

std::string Required(const std::string& kind, const std::string& term) {
  return "{containers: [{name: c}], affinity: {" + kind +
         ": {requiredDuringSchedulingIgnoredDuringExecution: [" + term + "]}}}";
}
std::string Preferred(const std::string& kind, const std::string& term, int weight) {
  return "{containers: [{name: c}], affinity: {" + kind +
         ": {preferredDuringSchedulingIgnoredDuringExecution: [{weight: " + std::to_string(weight) +
         ", podAffinityTerm: " + term + "}]}}}";
}
const char* const kWebInZone = "{topologyKey: zone, labelSelector: {matchLabels: {app: web}}}";

// Nodes a1, a2 in zone a, b1 in zone b, and x without a zone. Pod "web" (app: web, version: v1) of
// namespace default runs on a1.
class InterPodAffinityTest : public PlacingTest {
 protected:
  InterPodAffinityTest() {
    AddZoneNode("a1", "a");
    AddZoneNode("a2", "a");
    AddZoneNode("b1", "b");
    AddNode("x", "", "100");
    AddPod("web", "a1", "{app: web, version: v1}");
  }
};

TEST_F(InterPodAffinityTest, RequiredTerms) {
  const struct {
    const char* kind;
    const char* term;
    const char* labels;  // of the new pod
    const char* ns;
    const char* passing;
  } rows[] = {
      {"podAffinity", kWebInZone, "{}", "default", "a1 a2"},
      {"podAffinity",
       "{topologyKey: kubernetes.io/hostname, labelSelector: {matchLabels: {app: web}}}", "{}",
       "default", "a1"},
      {"podAffinity", kWebInZone, "{}", "other", ""},
      {"podAffinity",
       "{topologyKey: zone, labelSelector: {matchLabels: {app: web}}, namespaces: [default]}", "{}",
       "other", "a1 a2"},
      {"podAffinity",
       "{topologyKey: zone, labelSelector: {matchLabels: {app: web}}, namespaceSelector: {}}", "{}",
       "other", "a1 a2"},
      {"podAffinity",
       "{topologyKey: zone, labelSelector: {matchLabels: {app: web}}, namespaceSelector: "
       "{matchLabels: {team: red}}}",
       "{}", "other", "a1 a2"},
      {"podAffinity",
       "{topologyKey: zone, labelSelector: {matchLabels: {app: web}}, namespaceSelector: "
       "{matchLabels: {team: blue}}}",
       "{}", "other", ""},
      // Nobody is meant, but itself: the first of a series goes where the label is.
      {"podAffinity", "{topologyKey: zone, labelSelector: {matchLabels: {app: db}}}", "{app: db}",
       "default", "a1 a2 b1"},
      {"podAffinity", "{topologyKey: zone, labelSelector: {matchLabels: {app: db}}}", "{}",
       "default", ""},
      // All terms must mean the same pod.
      {"podAffinity",
       "{topologyKey: zone, labelSelector: {matchLabels: {app: web}}}, {topologyKey: zone, "
       "labelSelector: {matchLabels: {version: v2}}}",
       "{}", "default", ""},
      {"podAffinity", "{topologyKey: zone}", "{}", "default", ""},
      {"podAffinity", "{topologyKey: zone, labelSelector: {}}", "{}", "default", "a1 a2"},
      {"podAntiAffinity", kWebInZone, "{}", "default", "b1 x"},
      {"podAntiAffinity", kWebInZone, "{}", "other", "a1 a2 b1 x"},
      {"podAntiAffinity",
       "{topologyKey: kubernetes.io/hostname, labelSelector: {matchLabels: {app: web}}}", "{}",
       "default", "a2 b1 x"},
  };
  facts_.PutNamespace("default", MakePod("x", "{}", "{team: red}")->shape->labels);
  int number = 0;
  for (const auto& row : rows) {
    const std::string name = "p" + std::to_string(number++);
    EXPECT_EQ(Passing(MakePod(name, Required(row.kind, row.term), row.labels, row.ns)), row.passing)
        << row.kind << " " << row.term << " " << row.labels << " " << row.ns;
  }
}

TEST_F(InterPodAffinityTest, SaysWhy) {
  EXPECT_EQ(Place(MakePod("p", Required("podAffinity",
                                        "{topologyKey: zone, labelSelector: "
                                        "{matchLabels: {app: none}}}"))),
            std::string("none: 0/4 nodes are available: 4 ") + kNoAffinity +
                ". preemption: 0/4 nodes are available: 4 Preemption is not helpful for "
                "scheduling.");
  AddPod("web-b", "b1", "{app: web}");
  AddPod("web-x", "x", "{app: web}");
  nodes_.RemoveNode("x");
  EXPECT_EQ(Place(MakePod("q", Required("podAntiAffinity", kWebInZone))),
            std::string("none: 0/3 nodes are available: 3 ") + kAnti +
                ". preemption: 0/3 nodes are available: 3 No preemption victims found for "
                "incoming pod.");
}

TEST_F(InterPodAffinityTest, ExistingPodsKeepOthersAway) {
  AddPod("guard", "b1", "{app: guard}",
         Required("podAntiAffinity",
                  "{topologyKey: zone, labelSelector: {matchLabels: {app: noisy}}, "
                  "namespaceSelector: {matchLabels: {team: blue}}}"));
  EXPECT_EQ(Passing(MakePod("p", "{containers: [{name: c}]}", "{app: noisy}")), "a1 a2 b1 x");
  facts_.PutNamespace("default", MakePod("x", "{}", "{team: blue}")->shape->labels);
  EXPECT_EQ(Passing(MakePod("p", "{containers: [{name: c}]}", "{app: noisy}")), "a1 a2 x");
  EXPECT_EQ(EvaluationOf(MakePod("p", "{containers: [{name: c}]}", "{app: noisy}"))
                .Explain(*MakePod("p", "{}", "{app: noisy}"))
                .reasons,
            (std::map<std::string, int>{{kExisting, 1}}));
  nodes_.RemovePod("guard");
  EXPECT_EQ(Passing(MakePod("p", "{containers: [{name: c}]}", "{app: noisy}")), "a1 a2 b1 x");
}

TEST_F(InterPodAffinityTest, PreferencesScoreByWeight) {
  ScoreOnly("InterPodAffinity");
  EXPECT_EQ(Scores(MakePod("p", Preferred("podAffinity", kWebInZone, 10))),
            "a1=100 a2=100 b1=0 x=0");
  EXPECT_EQ(Scores(MakePod("q", Preferred("podAntiAffinity", kWebInZone, 10))),
            "a1=0 a2=0 b1=100 x=100");
  EXPECT_EQ(Scores(MakePod("r", "{containers: [{name: c}]}")), "a1=0 a2=0 b1=0 x=0");
}

TEST_F(InterPodAffinityTest, PreferencesOfExistingPodsCountToo) {
  const std::string likes_new = "{topologyKey: zone, labelSelector: {matchLabels: {app: new}}}";
  AddPod("soft", "b1", "{}", Preferred("podAffinity", likes_new, 4));
  AddPod("hard", "a1", "{app: new}", Required("podAffinity", likes_new));
  AddPod("shy", "a2", "{}", Preferred("podAntiAffinity", likes_new, 3));
  const PodInfoPtr pod = MakePod("p", "{containers: [{name: c}]}", "{app: new}");
  ScoreOnly("InterPodAffinity");
  // Zone a: 1 (hardPodAffinityWeight) - 3, zone b: 4, x: 0.
  EXPECT_EQ(Scores(pod), "a1=0 a2=0 b1=100 x=33");
  PluginArgs args;
  args.inter_pod_affinity.hard_pod_affinity_weight = 7;
  ScoreOnly("InterPodAffinity", args);
  EXPECT_EQ(Scores(pod), "a1=100 a2=100 b1=100 x=0");
  args.inter_pod_affinity.ignore_preferred_terms_of_existing_pods = true;
  ScoreOnly("InterPodAffinity", args);
  EXPECT_EQ(Scores(pod), "a1=0 a2=0 b1=0 x=0");
}

TEST_F(InterPodAffinityTest, WhatWakesAPod) {
  const auto rule = MakeInterPodAffinity({});
  const PodInfoPtr friendly = MakePod("p", Required("podAffinity", kWebInZone));
  const PodInfoPtr avoiding = MakePod("q", Required("podAntiAffinity", kWebInZone));
  const PodInfoPtr web = MakePod("w", "{}", "{app: web}"), db = MakePod("d", "{}", "{app: db}");
  const struct {
    PodInfoPtr pod, before, after;
    bool helps;
  } rows[] = {
      {friendly, nullptr, web, true}, {friendly, nullptr, db, false},
      {friendly, db, web, true},      {friendly, web, nullptr, false},
      {avoiding, web, nullptr, true}, {avoiding, db, nullptr, false},
      {avoiding, web, db, true},      {avoiding, nullptr, web, false},
      {web, avoiding, nullptr, true}, {db, avoiding, nullptr, false},
  };
  for (const auto& row : rows) {
    ClusterEvent event(ClusterEvent::kPodLabels);
    event.pod_before = row.before.get();
    event.pod = row.after.get();
    EXPECT_EQ(rule->MayHelp(*row.pod, event, facts_), row.helps)
        << row.pod->uid() << " " << (row.before ? row.before->uid() : "-") << " "
        << (row.after ? row.after->uid() : "-");
  }
}

}  // namespace
}  // namespace gantry::scheduler
