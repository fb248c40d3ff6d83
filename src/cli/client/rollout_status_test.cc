#include "cli/client/rollout_status.h"

#include <gtest/gtest.h>

namespace gantry::cli {
namespace {

std::string Say(const std::string& kind, const std::string& spec, const std::string& status) {
  const auto object = api::JsonValue::Parse(
      "{\"kind\":\"" + kind + "\",\"metadata\":{\"name\":\"web\",\"generation\":2},\"spec\":{" +
      spec + "},\"status\":{" + status + "}}");
  const Result<RolloutProgress> progress = ProgressOf(*object);
  if (!progress.ok()) return progress.status().message();
  return progress->message + (progress->done ? "done" : "");
}

TEST(RolloutStatus, SaysWhatKubectlSays) {
  struct Row {
    const char *kind, *spec, *status, *want;
  };
  const char* const rolling = R"("updateStrategy":{"type":"RollingUpdate"},"replicas":2)";
  const Row rows[] = {
      {"Deployment", R"("replicas":3)", R"("observedGeneration":1)",
       "Waiting for deployment spec update to be observed...\n"},
      {"Deployment", R"("replicas":3)", R"("observedGeneration":2,"updatedReplicas":1)",
       "Waiting for deployment \"web\" rollout to finish: 1 out of 3 new replicas have been "
       "updated...\n"},
      {"Deployment", R"("replicas":3)",
       R"("observedGeneration":2,"updatedReplicas":3,"replicas":4)",
       "Waiting for deployment \"web\" rollout to finish: 1 old replicas are pending "
       "termination...\n"},
      {"Deployment", R"("replicas":3)",
       R"("observedGeneration":2,"updatedReplicas":3,"replicas":3,"availableReplicas":2)",
       "Waiting for deployment \"web\" rollout to finish: 2 of 3 updated replicas are "
       "available...\n"},
      {"Deployment", R"("replicas":3)",
       R"("observedGeneration":2,"updatedReplicas":3,"replicas":3,"availableReplicas":3)",
       "deployment \"web\" successfully rolled out\ndone"},
      {"Deployment", "",
       R"("observedGeneration":2,"conditions":[{"type":"Progressing","reason":"ProgressDeadlineExceeded"}])",
       "error: deployment \"web\" exceeded its progress deadline"},
      {"DaemonSet", rolling,
       R"("observedGeneration":2,"desiredNumberScheduled":2,"updatedNumberScheduled":2,"numberAvailable":2)",
       "daemon set \"web\" successfully rolled out\ndone"},
      {"StatefulSet", rolling, R"("observedGeneration":2,"readyReplicas":1)",
       "Waiting for 1 pods to be ready...\n"},
      {"Pod", "", "", "error: no status viewer has been implemented for Pod"},
  };
  for (const Row& row : rows)
    EXPECT_EQ(Say(row.kind, row.spec, row.status), row.want);
}

}  // namespace
}  // namespace gantry::cli
