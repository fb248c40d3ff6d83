#include "cli/client/rollout_status.h"

#include <cstdlib>

#include "cli/client/failure.h"
#include "cli/client/fields.h"

namespace gantry::cli {
using api::JsonValue;

namespace {

std::string N(int64_t number) { return std::to_string(number); }

RolloutProgress Waiting(const std::string& kind, const std::string& name, const std::string& what) {
  return {"Waiting for " + kind + " \"" + name + "\" rollout to finish: " + what + "...\n", false};
}

Result<RolloutProgress> OfDeployment(const JsonValue& object, int64_t revision) {
  const std::string name = TextAt(object, "metadata.name");
  if (revision > 0) {
    const std::string now =
        MemberAt(object, "metadata.annotations", "deployment.kubernetes.io/revision");
    if (now != N(revision)) {
      return LocalError("desired revision (" + N(revision) +
                        ") is different from the running revision (" + now + ")");
    }
  }
  if (IntAt(object, "metadata.generation") > IntAt(object, "status.observedGeneration")) {
    return RolloutProgress{"Waiting for deployment spec update to be observed...\n", false};
  }
  for (const JsonValue& condition : ItemsAt(object, "status.conditions")) {
    if (TextAt(condition, "type") == "Progressing" &&
        TextAt(condition, "reason") == "ProgressDeadlineExceeded") {
      return LocalError("deployment \"" + name + "\" exceeded its progress deadline");
    }
  }
  const int64_t wanted = IntAt(object, "spec.replicas", 1);
  const int64_t replicas = IntAt(object, "status.replicas");
  const int64_t updated = IntAt(object, "status.updatedReplicas");
  const int64_t available = IntAt(object, "status.availableReplicas");
  if (updated < wanted)
    return Waiting("deployment", name,
                   N(updated) + " out of " + N(wanted) + " new replicas have been updated");
  if (replicas > updated)
    return Waiting("deployment", name,
                   N(replicas - updated) + " old replicas are pending termination");
  if (available < updated)
    return Waiting("deployment", name,
                   N(available) + " of " + N(updated) + " updated replicas are available");
  return RolloutProgress{"deployment \"" + name + "\" successfully rolled out\n", true};
}

Result<RolloutProgress> OfDaemonSet(const JsonValue& object) {
  const std::string name = TextAt(object, "metadata.name");
  if (TextAt(object, "spec.updateStrategy.type") != "RollingUpdate") {
    return LocalError("rollout status is only available for RollingUpdate strategy type");
  }
  if (IntAt(object, "metadata.generation") > IntAt(object, "status.observedGeneration")) {
    return RolloutProgress{"Waiting for daemon set spec update to be observed...\n", false};
  }
  const int64_t wanted = IntAt(object, "status.desiredNumberScheduled");
  const int64_t updated = IntAt(object, "status.updatedNumberScheduled");
  const int64_t available = IntAt(object, "status.numberAvailable");
  if (updated < wanted)
    return Waiting("daemon set", name,
                   N(updated) + " out of " + N(wanted) + " new pods have been updated");
  if (available < wanted)
    return Waiting("daemon set", name,
                   N(available) + " of " + N(wanted) + " updated pods are available");
  return RolloutProgress{"daemon set \"" + name + "\" successfully rolled out\n", true};
}

Result<RolloutProgress> OfStatefulSet(const JsonValue& object) {
  if (TextAt(object, "spec.updateStrategy.type") != "RollingUpdate") {
    return LocalError("rollout status is only available for RollingUpdate strategy type");
  }
  const int64_t observed = IntAt(object, "status.observedGeneration");
  if (observed == 0 || IntAt(object, "metadata.generation") > observed) {
    return RolloutProgress{"Waiting for statefulset spec update to be observed...\n", false};
  }
  const int64_t wanted = IntAt(object, "spec.replicas", 1);
  const int64_t ready = IntAt(object, "status.readyReplicas");
  const int64_t updated = IntAt(object, "status.updatedReplicas");
  if (ready < wanted)
    return RolloutProgress{"Waiting for " + N(wanted - ready) + " pods to be ready...\n", false};
  const int64_t partition = IntAt(object, "spec.updateStrategy.rollingUpdate.partition");
  if (partition > 0) {
    if (updated < wanted - partition) {
      return RolloutProgress{"Waiting for partitioned roll out to finish: " + N(updated) +
                                 " out of " + N(wanted - partition) +
                                 " new pods have been updated...\n",
                             false};
    }
    return RolloutProgress{
        "partitioned roll out complete: " + N(updated) + " new pods have been updated...\n", true};
  }
  const std::string update = TextAt(object, "status.updateRevision");
  if (update != TextAt(object, "status.currentRevision")) {
    return RolloutProgress{"waiting for statefulset rolling update to complete " + N(updated) +
                               " pods at revision " + update + "...\n",
                           false};
  }
  return RolloutProgress{"statefulset rolling update complete " +
                             N(IntAt(object, "status.currentReplicas")) + " pods at revision " +
                             TextAt(object, "status.currentRevision") + "...\n",
                         true};
}

}  // namespace

Result<RolloutProgress> ProgressOf(const JsonValue& object, int64_t revision) {
  const std::string kind = TextAt(object, "kind");
  if (kind == "Deployment") return OfDeployment(object, revision);
  if (kind == "DaemonSet") return OfDaemonSet(object);
  if (kind == "StatefulSet") return OfStatefulSet(object);
  return LocalError("no status viewer has been implemented for " + kind);
}

}  // namespace gantry::cli
