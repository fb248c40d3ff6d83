#include "api/node_labels.h"

#include <algorithm>

namespace gantry::api {
namespace {

constexpr std::string_view kOwnLabels[] = {"beta.kubernetes.io/arch",
                                           "beta.kubernetes.io/instance-type",
                                           "beta.kubernetes.io/os",
                                           "failure-domain.beta.kubernetes.io/region",
                                           "failure-domain.beta.kubernetes.io/zone",
                                           "kubernetes.io/arch",
                                           "kubernetes.io/hostname",
                                           "kubernetes.io/os",
                                           "topology.kubernetes.io/region",
                                           "topology.kubernetes.io/zone"};

bool IsBelow(std::string_view ns, std::string_view domain) {
  return ns == domain || (ns.size() > domain.size() && ns.ends_with(domain) &&
                          ns[ns.size() - domain.size() - 1] == '.');
}

}  // namespace

bool IsLabelOfKubelets(std::string_view label) {
  const size_t slash = label.find('/');
  if (slash == std::string_view::npos) return true;
  const std::string_view ns = label.substr(0, slash);
  if (IsBelow(ns, "node-restriction.kubernetes.io")) return false;
  if (!IsBelow(ns, "kubernetes.io") && !IsBelow(ns, "k8s.io")) return true;
  return IsBelow(ns, "kubelet.kubernetes.io") || IsBelow(ns, "node.kubernetes.io") ||
         std::find(std::begin(kOwnLabels), std::end(kOwnLabels), label) != std::end(kOwnLabels);
}

}  // namespace gantry::api
