#include "node/pod/admission.h"

#include <gtest/gtest.h>

#include "api/core/v1/container.pb.h"
#include "api/core/v1/security.pb.h"

namespace gantry::node {
namespace {

using api::core::v1::Node;
using api::core::v1::Pod;

Node NodeForOnePod() {
  Node node;
  (*node.mutable_status()->mutable_allocatable())["pods"].set_string("1");
  return node;
}

TEST(AdmitPod, RefusesSysctlsThatAreNotSafe) {
  struct Row {
    const char* name;
    bool host_network, host_ipc;
    const char* message;
  };
  const Row kRows[] = {
      {"net.ipv4.ip_unprivileged_port_start", false, true, ""},
      {"net/ipv4/tcp_syncookies", false, false, ""},
      {"kernel.shm_rmid_forced", true, false, ""},
      {"kernel.msgmax", false, false, "forbidden sysctl: \"kernel.msgmax\" not allowlisted"},
      {"kernel.shm_rmid_forced", false, true,
       "forbidden sysctl: \"kernel.shm_rmid_forced\" not allowed with host IPC enabled"},
      {"net.ipv4.tcp_wmem", true, false,
       "forbidden sysctl: \"net.ipv4.tcp_wmem\" not allowed with host Net enabled"},
  };
  for (const Row& row : kRows) {
    Pod pod;
    pod.mutable_spec()->mutable_security_context()->add_sysctls()->set_name(row.name);
    pod.mutable_spec()->set_host_network(row.host_network);
    pod.mutable_spec()->set_host_ipc(row.host_ipc);
    std::optional<Rejection> rejection = AdmitPod(pod, {}, NodeForOnePod());
    EXPECT_EQ(rejection ? rejection->message : "", row.message) << row.name;
    if (rejection) EXPECT_EQ(rejection->reason, "SysctlForbidden");
  }
}

TEST(AdmitPod, RefusesWhatDoesNotFit) {
  Pod pod;
  std::optional<Rejection> rejection = AdmitPod(pod, {&pod}, NodeForOnePod());
  ASSERT_TRUE(rejection);
  EXPECT_EQ(rejection->reason, "OutOfpods");
  EXPECT_EQ(rejection->message,
            "Node didn't have enough resource: pods, requested: 1, used: 1, capacity: 1");
}

// A sidecar's port is taken for as long as the pod runs.
TEST(AdmitPod, RefusesPortsOfTheNodeThatAreTaken) {
  Node node = NodeForOnePod();
  (*node.mutable_status()->mutable_allocatable())["pods"].set_string("10");
  Pod taken;
  auto* sidecar = taken.mutable_spec()->add_init_containers();
  sidecar->set_restart_policy("Always");
  sidecar->add_ports()->set_host_port(8080);
  Pod pod;
  auto* port = pod.mutable_spec()->add_containers()->add_ports();
  port->set_host_port(8081);
  EXPECT_FALSE(AdmitPod(pod, {&taken}, node));
  port->set_host_port(8080);
  std::optional<Rejection> rejection = AdmitPod(pod, {&taken}, node);
  ASSERT_TRUE(rejection);
  EXPECT_EQ(rejection->reason, "NodePorts");
  port->set_protocol("UDP");
  EXPECT_FALSE(AdmitPod(pod, {&taken}, node));
}

}  // namespace
}  // namespace gantry::node
