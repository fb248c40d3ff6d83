#include "node/pod/environment.h"

#include <gtest/gtest.h>

namespace gantry::node {
namespace {

TEST(ExpandVariables, FollowsKubernetesRules) {
  const EnvironmentList kVariables = {{"A", "1"}, {"B", "$(A)"}, {"EMPTY", ""}};
  struct Row {
    const char *text, *result;
  };
  constexpr Row kRows[] = {{"$(A)", "1"},    {"$$(A)", "$(A)"},  {"$(C)", "$(C)"},
                           {"$(B)", "$(A)"}, {"$A", "$A"},       {"x$(A)y$(A)", "x1y1"},
                           {"$(A", "$(A"},   {"$(EMPTY)z", "z"}, {"$$$(A)", "$1"},
                           {"end$", "end$"}};
  for (const Row& row : kRows)
    EXPECT_EQ(ExpandVariables(row.text, kVariables), row.result) << row.text;
}

TEST(ServiceEnvironment, ListsWhatAPodGets) {
  auto service = [](const std::string& ns, const std::string& name, const std::string& ip, int port,
                    const std::string& port_name) {
    api::core::v1::Service made;
    made.mutable_metadata()->set_namespace_(ns);
    made.mutable_metadata()->set_name(name);
    made.mutable_spec()->set_cluster_ip(ip);
    auto* p = made.mutable_spec()->add_ports();
    p->set_port(port);
    p->set_name(port_name);
    return api::Ref<api::core::v1::Service>::Of(std::move(made));
  };
  auto services = {service("default", "kubernetes", "10.43.0.1", 443, "https"),
                   service("team", "my-db", "10.43.0.7", 5432, ""),
                   service("other", "hidden", "10.43.0.8", 1, ""),
                   service("team", "headless", "None", 1, "")};
  const EnvironmentList kApi = {{"KUBERNETES_SERVICE_HOST", "10.43.0.1"},
                                {"KUBERNETES_SERVICE_PORT", "443"},
                                {"KUBERNETES_SERVICE_PORT_HTTPS", "443"},
                                {"KUBERNETES_PORT", "tcp://10.43.0.1:443"},
                                {"KUBERNETES_PORT_443_TCP", "tcp://10.43.0.1:443"},
                                {"KUBERNETES_PORT_443_TCP_PROTO", "tcp"},
                                {"KUBERNETES_PORT_443_TCP_PORT", "443"},
                                {"KUBERNETES_PORT_443_TCP_ADDR", "10.43.0.1"}};
  EXPECT_EQ(ServiceEnvironment(services, "team", false), kApi);
  EnvironmentList all = ServiceEnvironment(services, "team", true);
  EXPECT_EQ(all.size(), kApi.size() + 7);
  EXPECT_EQ(all[kApi.size()],
            (std::pair<std::string, std::string>("MY_DB_SERVICE_HOST", "10.43.0.7")));
}

TEST(FieldValue, ReadsThePod) {
  api::core::v1::Pod pod;
  pod.mutable_metadata()->set_name("p");
  (*pod.mutable_metadata()->mutable_labels())["b"] = "2";
  (*pod.mutable_metadata()->mutable_labels())["a"] = "say \"hi\"";
  struct Row {
    const char *path, *value;
  };
  constexpr Row kRows[] = {{"metadata.name", "p"},
                           {"metadata.labels['b']", "2"},
                           {"metadata.labels['x']", ""},
                           {"metadata.labels", "a=\"say \\\"hi\\\"\"\nb=\"2\""},
                           {"status.podIPs", "10.0.0.1,fd00::1"},
                           {"status.hostIP", "192.0.2.1"}};
  for (const Row& row : kRows) {
    EXPECT_EQ(FieldValue(pod, row.path, {"192.0.2.1"}, {"10.0.0.1", "fd00::1"}).value_or("failed"),
              row.value)
        << row.path;
  }
  EXPECT_FALSE(FieldValue(pod, "spec.nonsense", {}, {}).ok());
}

}  // namespace
}  // namespace gantry::node
