#include "api/host_ports.h"

#include <gtest/gtest.h>

#include "api/testing/from_yaml.h"

namespace gantry::api {
namespace {

using core::v1::Pod;
using testing::FromYaml;

std::string Text(const std::vector<HostPort>& ports) {
  std::string text;
  for (const HostPort& port : ports) {
    text += (text.empty() ? "" : " ") + port.protocol + "/" + port.ip + ":" +
            std::to_string(port.port) + ">" + std::to_string(port.container_port);
  }
  return text;
}

TEST(HostPorts, OfContainersAndSidecars) {
  struct Row {
    const char* spec;
    const char* ports;
  };
  constexpr Row kRows[] = {
      {"{containers: [{name: a, ports: [{containerPort: 80}]}]}", ""},
      {"{containers: [{name: a, ports: [{containerPort: 80, hostPort: 8080}, {containerPort: 53, "
       "hostPort: 53, protocol: UDP, hostIP: 127.0.0.1}]}]}",
       "TCP/0.0.0.0:8080>80 UDP/127.0.0.1:53>53"},
      {"{containers: [{name: a}], initContainers: [{name: i, ports: [{containerPort: 1, hostPort: "
       "1}]}, {name: s, restartPolicy: Always, ports: [{containerPort: 2, hostPort: 3}]}]}",
       "TCP/0.0.0.0:3>2"},
  };
  for (const Row& row : kRows) {
    EXPECT_EQ(Text(HostPortsOf(FromYaml<Pod>(std::string("{spec: ") + row.spec + "}"))), row.ports);
  }
}

TEST(HostPorts, Conflicts) {
  struct Row {
    HostPort a, b;
    bool conflict;
  };
  const Row kRows[] = {
      {{"TCP", "0.0.0.0", 80}, {"TCP", "0.0.0.0", 80}, true},
      {{"TCP", "0.0.0.0", 80}, {"TCP", "127.0.0.1", 80}, true},
      {{"TCP", "127.0.0.1", 80}, {"TCP", "0.0.0.0", 80}, true},
      {{"TCP", "127.0.0.1", 80}, {"TCP", "127.0.0.1", 80}, true},
      {{"TCP", "127.0.0.1", 80}, {"TCP", "127.0.0.2", 80}, false},
      {{"TCP", "0.0.0.0", 80}, {"UDP", "0.0.0.0", 80}, false},
      {{"TCP", "0.0.0.0", 80}, {"TCP", "0.0.0.0", 81}, false},
  };
  for (const Row& row : kRows) {
    EXPECT_EQ(row.a.ConflictsWith(row.b), row.conflict) << Text({row.a}) << " " << Text({row.b});
    EXPECT_EQ(AnyConflict({row.a}, {{"SCTP", "0.0.0.0", 1}, row.b}), row.conflict);
  }
  EXPECT_FALSE(AnyConflict({}, {kRows[0].a}));
}

}  // namespace
}  // namespace gantry::api
