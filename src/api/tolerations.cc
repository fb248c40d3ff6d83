#include "api/tolerations.h"

namespace gantry::api {

bool Tolerates(const core::v1::Toleration& toleration, const core::v1::Taint& taint) {
  if (!toleration.effect().empty() && toleration.effect() != taint.effect()) return false;
  if (!toleration.key().empty() && toleration.key() != taint.key()) return false;
  const std::string& op = toleration.operator_();
  if (op == "Exists") return true;
  if (op.empty() || op == "Equal") return toleration.value() == taint.value();
  return false;
}

const core::v1::Toleration* FindToleration(
    const google::protobuf::RepeatedPtrField<core::v1::Toleration>& tolerations,
    const core::v1::Taint& taint) {
  for (const core::v1::Toleration& toleration : tolerations) {
    if (Tolerates(toleration, taint)) return &toleration;
  }
  return nullptr;
}

const core::v1::Taint* FindUntolerated(
    const google::protobuf::RepeatedPtrField<core::v1::Taint>& taints,
    const google::protobuf::RepeatedPtrField<core::v1::Toleration>& tolerations) {
  for (const core::v1::Taint& taint : taints) {
    if (taint.effect() != "NoSchedule" && taint.effect() != "NoExecute") continue;
    if (!FindToleration(tolerations, taint)) return &taint;
  }
  return nullptr;
}

}  // namespace gantry::api
