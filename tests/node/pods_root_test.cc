#include <gtest/gtest.h>
#include <unistd.h>

#include "api/core/v1/config_map.pb.h"
#include "api/core/v1/pod_status.pb.h"
#include "api/core/v1/secret.pb.h"
#include "cluster.h"
#include "node/os/fs.h"

// What the containers of a pod find around them, as a user of Kubernetes would look at it: from
// inside.
namespace gantry::node::testing {
namespace {

using api::core::v1::ConfigMap;
using api::core::v1::Pod;
using api::core::v1::Secret;

constexpr char kForever[] = "trap 'exit 0' TERM; while true; do sleep 1000 & wait $!; done";

std::string Condition(const Pod& pod, const std::string& type) {
  for (const auto& condition : pod.status().conditions()) {
    if (condition.type() == type)
      return condition.status() + " " + condition.reason() + " " + condition.message();
  }
  return "absent";
}

const api::core::v1::ContainerStatus& First(const Pod& pod) {
  return pod.status().container_statuses(0);
}

std::string WaitingReason(const Pod& pod) {
  return pod.status().container_statuses().empty() ? "" : First(pod).state().waiting().reason();
}

class PodTest : public ::testing::Test {
 protected:
  PodTest() { node.StartAgent(); }
  std::string Shell(const std::string& pod, const std::string& script) {
    return node.Exec(pod, {"sh", "-c", script}).second;
  }
  TestNode node;
};

TEST_F(PodTest, EnvironmentAndVolumes) {
  ConfigMap config;
  config.mutable_metadata()->set_name("config");
  config.mutable_metadata()->set_namespace_("default");
  (*config.mutable_data())["COLOR"] = "blue";
  (*config.mutable_data())["page"] = "one";
  node.api().Put(config);
  Secret secret;
  secret.mutable_metadata()->set_name("secret");
  secret.mutable_metadata()->set_namespace_("default");
  (*secret.mutable_data())["password"] = "hunter2";
  node.api().Put(secret);

  Pod pod = ShellPod("env", kForever);
  (*pod.mutable_metadata()->mutable_labels())["app"] = "web";
  auto* container = pod.mutable_spec()->mutable_containers(0);
  auto env = [&](const std::string& name, const std::string& value) {
    auto* variable = container->add_env();
    variable->set_name(name);
    variable->set_value(value);
    return variable;
  };
  container->add_env_from()->mutable_config_map_ref()->mutable_local_object_reference()->set_name(
      "config");
  env("GREETING", "color is $(COLOR), $(UNKNOWN), $$(COLOR)");
  auto* password = env("PASSWORD", "")->mutable_value_from()->mutable_secret_key_ref();
  password->mutable_local_object_reference()->set_name("secret");
  password->set_key("password");
  env("POD_IP", "")->mutable_value_from()->mutable_field_ref()->set_field_path("status.podIP");
  env("LABEL", "")
      ->mutable_value_from()
      ->mutable_field_ref()
      ->set_field_path("metadata.labels['app']");
  env("CPUS", "")->mutable_value_from()->mutable_resource_field_ref()->set_resource("limits.cpu");
  auto volume = [&](const std::string& name, const std::string& path) {
    auto* mount = container->add_volume_mounts();
    mount->set_name(name);
    mount->set_mount_path(path);
    auto* made = pod.mutable_spec()->add_volumes();
    made->set_name(name);
    return made->mutable_volume_source();
  };
  volume("config", "/config")
      ->mutable_config_map()
      ->mutable_local_object_reference()
      ->set_name("config");
  auto* items = volume("secret", "/secret")->mutable_secret();
  items->set_secret_name("secret");
  items->set_default_mode(0400);
  auto* item = items->add_items();
  item->set_key("password");
  item->set_path("deep/pw");
  volume("scratch", "/scratch")->mutable_empty_dir();
  auto* memory = volume("memory", "/memory")->mutable_empty_dir();
  memory->set_medium("Memory");
  memory->mutable_size_limit()->set_string("1Mi");
  auto* file = volume("info", "/info")->mutable_downward_api()->add_items();
  file->set_path("labels");
  file->mutable_field_ref()->set_field_path("metadata.labels");
  auto* sub = container->add_volume_mounts();
  sub->set_name("scratch");
  sub->set_mount_path("/sub");
  sub->set_sub_path("one/two");
  node.Run(pod);
  ASSERT_TRUE(node.UntilReady("env"));
  std::string vars = Shell("env", "env");
  for (const char* line : {"COLOR=blue\n", "GREETING=color is blue, $(UNKNOWN), $(COLOR)\n",
                           "PASSWORD=hunter2\n", "POD_IP=10.88.0.2\n", "LABEL=web\n",
                           "FROM_IMAGE=yes\n", "HOSTNAME=env\n", "HOME=/root\n"}) {
    EXPECT_NE(vars.find(line), std::string::npos) << line << vars;
  }
  EXPECT_EQ(Shell("env", "cat /config/page"), "one");
  EXPECT_EQ(Shell("env", "cat /secret/deep/pw; stat -L -c %a /secret/deep/pw"), "hunter2400\n");
  EXPECT_EQ(Shell("env", "touch /sub/x; ls /scratch/one/two"), "x\n");
  EXPECT_EQ(
      Shell("env",
            "dd if=/dev/zero of=/memory/f bs=1k count=2000 2>/dev/null; stat -c %s /memory/f"),
      "1048576\n");
  EXPECT_EQ(Shell("env", "cat /info/labels"), "app=\"web\"");
  EXPECT_NE(Shell("env", "cat /etc/resolv.conf").find("nameserver 10.43.0.10\n"),
            std::string::npos);
  EXPECT_NE(Shell("env", "cat /etc/hosts").find("10.88.0.2\tenv\n"), std::string::npos);

  (*config.mutable_data())["page"] = "two";
  config.mutable_metadata()->clear_resource_version();
  node.api().Put(config);
  EXPECT_TRUE(node.UntilTrue([&] { return Shell("env", "cat /config/page") == "two"; }));
}

TEST_F(PodTest, InitContainersAndSidecarsRunInOrder) {
  Pod pod = ShellPod("init", "cat /work/log; " + std::string(kForever));
  auto add = [&](const std::string& name, const std::string& script, bool sidecar) {
    Pod made = ShellPod("x", script);
    auto* init = pod.mutable_spec()->add_init_containers();
    *init = made.spec().containers(0);
    init->set_name(name);
    if (sidecar) init->set_restart_policy("Always");
    auto* mount = init->add_volume_mounts();
    mount->set_name("work");
    mount->set_mount_path("/work");
  };
  add("first", "echo first >> /work/log", false);
  add("side", "echo side >> /work/log; " + std::string(kForever), true);
  add("second", "while ! grep -q side /work/log; do sleep 0.01; done; echo second >> /work/log",
      false);
  pod.mutable_spec()->add_volumes()->set_name("work");
  pod.mutable_spec()->mutable_volumes(0)->mutable_volume_source()->mutable_empty_dir();
  auto* mount = pod.mutable_spec()->mutable_containers(0)->add_volume_mounts();
  mount->set_name("work");
  mount->set_mount_path("/work");
  node.Run(pod);
  ASSERT_TRUE(node.UntilReady("init"));
  EXPECT_TRUE(node.UntilTrue([&] { return node.Logs("init", "main") == "first\nside\nsecond\n"; }))
      << node.Logs("init", "main");
  auto status = node.Get("init")->status();
  EXPECT_EQ(status.init_container_statuses(0).state().terminated().reason(), "Completed");
  EXPECT_TRUE(status.init_container_statuses(1).state().has_running());
  node.Delete("init", 5);
  EXPECT_TRUE(node.UntilGone("init"));
}

TEST_F(PodTest, PhasesFollowRestartPolicies) {
  struct Row {
    const char* name;
    const char* policy;
    const char* script;
    const char* phase;
    const char* reason;
    int code;
  };
  constexpr Row kRows[] = {{"done", "Never", "exit 0", "Succeeded", "Completed", 0},
                           {"failed", "Never", "exit 7", "Failed", "Error", 7},
                           {"once", "OnFailure", "exit 0", "Succeeded", "Completed", 0}};
  for (const Row& row : kRows) {
    Pod pod = ShellPod(row.name, row.script);
    pod.mutable_spec()->set_restart_policy(row.policy);
    node.Run(pod);
  }
  for (const Row& row : kRows) {
    ASSERT_TRUE(node.UntilPhase(row.name, row.phase)) << row.name;
    auto pod = node.Get(row.name);
    EXPECT_EQ(First(*pod).state().terminated().reason(), row.reason) << row.name;
    EXPECT_EQ(First(*pod).state().terminated().exit_code(), row.code) << row.name;
    EXPECT_EQ(Condition(*pod, "Ready"),
              std::string("False ") +
                  (std::string(row.phase) == "Succeeded" ? "PodCompleted " : "PodFailed "))
        << row.name;
  }
}

TEST_F(PodTest, CrashLoopsBackOff) {
  node.Run(ShellPod("crash", "echo oops; exit 1"));
  ASSERT_TRUE(
      node.Until("crash", [](const Pod& pod) { return WaitingReason(pod) == "CrashLoopBackOff"; }));
  auto pod = node.Get("crash");
  EXPECT_EQ(pod->status().phase(), "Running");
  EXPECT_EQ(First(*pod).restart_count(), 1);
  EXPECT_EQ(First(*pod).last_state().terminated().exit_code(), 1);
  EXPECT_TRUE(First(*pod).state().waiting().message().starts_with(
      "back-off 10s restarting failed container=main pod=crash_default("));
  EXPECT_EQ(Condition(*pod, "Ready"),
            "False ContainersNotReady containers with unready status: [main]");
  EXPECT_TRUE(
      node.HasEvent("BackOff", "Back-off restarting failed container main in pod crash_default("));
  EXPECT_EQ(node.Logs("crash", "main", true), "oops\n");
}

TEST_F(PodTest, WhatCannotStartSaysWhy) {
  Pod never = ShellPod("never", kForever);
  never.mutable_spec()->mutable_containers(0)->set_image("absent:1");
  never.mutable_spec()->mutable_containers(0)->set_image_pull_policy("Never");
  node.Run(never);
  Pod invalid = ShellPod("invalid", kForever);
  invalid.mutable_spec()->mutable_containers(0)->set_image("UPPER//case");
  node.Run(invalid);
  Pod unreachable = ShellPod("unreachable", kForever);
  unreachable.mutable_spec()->mutable_containers(0)->set_image("127.0.0.1:9/x:1");
  node.Run(unreachable);
  Pod config = ShellPod("config", kForever);
  auto* variable = config.mutable_spec()->mutable_containers(0)->add_env();
  variable->set_name("X");
  variable->mutable_value_from()
      ->mutable_config_map_key_ref()
      ->mutable_local_object_reference()
      ->set_name("absent");
  node.Run(config);
  Pod command = ShellPod("command", kForever);
  command.mutable_spec()->mutable_containers(0)->set_command(0, "/no/such/program");
  node.Run(command);
  Pod root = ShellPod("root", kForever);
  root.mutable_spec()->mutable_security_context()->set_run_as_non_root(true);
  node.Run(root);
  Pod mount = ShellPod("mount", kForever);
  mount.mutable_spec()->add_volumes()->set_name("cfg");
  mount.mutable_spec()
      ->mutable_volumes(0)
      ->mutable_volume_source()
      ->mutable_config_map()
      ->mutable_local_object_reference()
      ->set_name("nope");
  node.Run(mount);

  auto waits = [&](const std::string& name, const std::string& reason) {
    EXPECT_TRUE(node.Until(name, [&](const Pod& pod) { return WaitingReason(pod) == reason; }))
        << name;
    return First(*node.Get(name)).state().waiting().message();
  };
  EXPECT_EQ(waits("never", "ErrImageNeverPull"),
            "Container image \"absent:1\" is not present with pull policy of Never");
  waits("invalid", "InvalidImageName");
  EXPECT_TRUE(node.HasEvent("Failed", "Error: ErrImagePull"));
  EXPECT_TRUE(waits("unreachable", "ImagePullBackOff")
                  .starts_with("Back-off pulling image \"127.0.0.1:9/x:1\""));
  EXPECT_EQ(waits("config", "CreateContainerConfigError"), "configmap \"absent\" not found");
  EXPECT_TRUE(
      waits("root", "CreateContainerConfigError")
          .starts_with(
              "container has runAsNonRoot and image will run as root (pod: \"root_default("));
  EXPECT_TRUE(node.Until("command", [](const Pod& pod) {
    return !pod.status().container_statuses().empty() &&
           First(pod).last_state().terminated().reason() == "StartError";
  }));
  EXPECT_TRUE(node.HasEvent(
      "FailedMount", "MountVolume.SetUp failed for volume \"cfg\" : configmap \"nope\" not found"));
  EXPECT_EQ(waits("mount", "ContainerCreating"), "");

  // The missing thing appears: the pod runs without waiting for its next turn.
  ConfigMap made;
  made.mutable_metadata()->set_name("absent");
  made.mutable_metadata()->set_namespace_("default");
  node.api().Put(made);
  node.Delete("command", 0);
}

TEST_F(PodTest, ProbesDecide) {
  Pod live = ShellPod("live", "touch /tmp/ok; " + std::string(kForever));
  auto* container = live.mutable_spec()->mutable_containers(0);
  auto set = [](api::core::v1::Probe* probe, const std::string& script, int threshold) {
    for (const char* part : {"sh", "-c"})
      probe->mutable_handler()->mutable_exec()->add_command(part);
    probe->mutable_handler()->mutable_exec()->add_command(script);
    probe->set_period_seconds(1);
    probe->set_failure_threshold(threshold);
  };
  set(container->mutable_startup_probe(), "test -f /tmp/ok", 30);
  set(container->mutable_liveness_probe(), "test -f /tmp/ok", 1);
  set(container->mutable_readiness_probe(), "test -f /tmp/ready", 1);
  container->mutable_lifecycle()->mutable_post_start()->mutable_exec()->add_command("touch");
  container->mutable_lifecycle()->mutable_post_start()->mutable_exec()->add_command("/tmp/hooked");
  node.Run(live);
  ASSERT_TRUE(node.Until("live", [](const Pod& pod) {
    return pod.status().container_statuses_size() > 0 && First(pod).started();
  }));
  EXPECT_EQ(Condition(*node.Get("live"), "Ready"),
            "False ContainersNotReady containers with unready status: [main]");
  EXPECT_EQ(Shell("live", "ls /tmp/hooked"), "/tmp/hooked\n");
  Shell("live", "touch /tmp/ready");
  ASSERT_TRUE(node.UntilReady("live"));
  EXPECT_TRUE(node.HasEvent("Unhealthy", "Readiness probe failed: "));
  Shell("live", "rm /tmp/ok 2>/dev/null || busybox rm /tmp/ok");
  ASSERT_TRUE(node.Until("live", [](const Pod& pod) {
    return First(pod).restart_count() == 1 && First(pod).started();
  }));
  EXPECT_TRUE(node.HasEvent("Killing", "Container main failed liveness probe, will be restarted"));
}

TEST_F(PodTest, NetworkProbesReachTheHostsNetwork) {
  // A port of the host: one of this process' own, since an earlier run may still hold it for a
  // while.
  const int port = 20000 + getpid() % 10000;
  Pod pod = ShellPod("web", "httpd -f -p 127.0.0.1:" + std::to_string(port) + " -h /www");
  pod.mutable_spec()->set_host_network(true);
  pod.mutable_spec()->set_termination_grace_period_seconds(1);
  auto* container = pod.mutable_spec()->mutable_containers(0);
  auto* get = container->mutable_readiness_probe()->mutable_handler()->mutable_http_get();
  get->mutable_port()->set_int_val(port);
  get->set_path("/absent");
  container->mutable_readiness_probe()->set_period_seconds(1);
  auto* live = container->mutable_liveness_probe()->mutable_handler()->mutable_tcp_socket();
  live->mutable_port()->set_int_val(port);
  // The first probes come before the server listens.
  container->mutable_liveness_probe()->set_failure_threshold(10);
  node.Run(pod);
  EXPECT_TRUE(
      node.HasEvent("Unhealthy", "Readiness probe failed: HTTP probe failed with statuscode: 404"))
      << node.Events();
  EXPECT_EQ(node.Get("web")->status().pod_ip(), "127.0.0.1");
}

TEST_F(PodTest, SecurityContext) {
  Pod pod = ShellPod("secure", kForever);
  auto* context = pod.mutable_spec()->mutable_security_context();
  context->set_run_as_user(1001);
  context->set_fs_group(2000);
  context->add_supplemental_groups(3000);
  auto* sysctl = context->add_sysctls();
  sysctl->set_name("net.ipv4.ip_unprivileged_port_start");
  sysctl->set_value("80");
  auto* container = pod.mutable_spec()->mutable_containers(0);
  auto* own = container->mutable_security_context();
  own->set_read_only_root_filesystem(true);
  own->set_allow_privilege_escalation(false);
  own->mutable_capabilities()->add_drop("ALL");
  own->mutable_capabilities()->add_add("NET_BIND_SERVICE");
  own->mutable_seccomp_profile()->set_type("RuntimeDefault");
  (*container->mutable_resources()->mutable_limits())["memory"].set_string("64Mi");
  (*container->mutable_resources()->mutable_limits())["cpu"].set_string("500m");
  (*container->mutable_resources()->mutable_requests())["memory"].set_string("64Mi");
  (*container->mutable_resources()->mutable_requests())["cpu"].set_string("500m");
  auto* mount = container->add_volume_mounts();
  mount->set_name("data");
  mount->set_mount_path("/data");
  pod.mutable_spec()->add_volumes()->set_name("data");
  pod.mutable_spec()->mutable_volumes(0)->mutable_volume_source()->mutable_empty_dir();
  node.Run(pod);
  ASSERT_TRUE(node.UntilReady("secure"));
  EXPECT_EQ(node.Get("secure")->status().qos_class(), "Guaranteed");
  EXPECT_EQ(Shell("secure", "id -u; id -g; id -G"), "1001\n1002\n1002 1003 2000 3000\n");
  EXPECT_NE(Shell("secure", "touch /x 2>&1").find("Read-only file system"), std::string::npos);
  EXPECT_EQ(Shell("secure", "touch /data/x && stat -c %g /data/x"), "2000\n");
  EXPECT_NE(Shell("secure", "grep NoNewPrivs /proc/self/status").find("1"), std::string::npos);
  EXPECT_NE(Shell("secure", "grep Seccomp: /proc/self/status").find("2"), std::string::npos);
  EXPECT_NE(Shell("secure", "grep CapBnd /proc/self/status").find("0000000000000400"),
            std::string::npos);
  EXPECT_EQ(Shell("secure", "cat /proc/sys/net/ipv4/ip_unprivileged_port_start"), "80\n");
  std::string score = Shell("secure", "cat /proc/1/oom_score_adj");
  EXPECT_TRUE(score == "-997\n" || score == "0\n")
      << score;  // the latter where we may not lower it
}

TEST_F(PodTest, MemoryLimitKills) {
  Pod pod = ShellPod("oom", "x=a; while true; do x=$x$x; done");
  pod.mutable_spec()->set_restart_policy("Never");
  (*pod.mutable_spec()->mutable_containers(0)->mutable_resources()->mutable_limits())["memory"]
      .set_string("20Mi");
  node.Run(pod);
  ASSERT_TRUE(node.UntilPhase("oom", "Failed"));
  EXPECT_EQ(First(*node.Get("oom")).state().terminated().reason(), "OOMKilled");
  EXPECT_EQ(First(*node.Get("oom")).state().terminated().exit_code(), 137);
}

TEST_F(PodTest, TheEndIsOrderly) {
  Pod message = ShellPod("message", "echo bye > /dev/termination-log; exit 3");
  message.mutable_spec()->set_restart_policy("Never");
  node.Run(message);
  Pod fallback = ShellPod("fallback", "echo last words; exit 3");
  fallback.mutable_spec()->set_restart_policy("Never");
  fallback.mutable_spec()->mutable_containers(0)->set_termination_message_policy(
      "FallbackToLogsOnError");
  node.Run(fallback);
  Pod deadline = ShellPod("deadline", kForever);
  deadline.mutable_spec()->set_active_deadline_seconds(1);
  node.Run(deadline);
  Pod stubborn = ShellPod("stubborn", "trap '' TERM; while true; do sleep 1; done");
  stubborn.mutable_spec()->set_termination_grace_period_seconds(1);
  node.Run(stubborn);
  std::string directory = node.paths().data_dir() + "/hook";
  Pod hook = ShellPod("hook", kForever);
  auto* volume = hook.mutable_spec()->add_volumes();
  volume->set_name("host");
  volume->mutable_volume_source()->mutable_host_path()->set_path(directory);
  volume->mutable_volume_source()->mutable_host_path()->set_type("DirectoryOrCreate");
  auto* mount = hook.mutable_spec()->mutable_containers(0)->add_volume_mounts();
  mount->set_name("host");
  mount->set_mount_path("/host");
  auto* stop = hook.mutable_spec()
                   ->mutable_containers(0)
                   ->mutable_lifecycle()
                   ->mutable_pre_stop()
                   ->mutable_exec();
  stop->add_command("touch");
  stop->add_command("/host/stopped");
  node.Run(hook);

  ASSERT_TRUE(node.UntilPhase("message", "Failed"));
  EXPECT_EQ(First(*node.Get("message")).state().terminated().message(), "bye\n");
  ASSERT_TRUE(node.UntilPhase("fallback", "Failed"));
  EXPECT_EQ(First(*node.Get("fallback")).state().terminated().message(), "last words\n");
  ASSERT_TRUE(node.UntilPhase("deadline", "Failed"));
  EXPECT_EQ(node.Get("deadline")->status().reason(), "DeadlineExceeded");
  ASSERT_TRUE(node.UntilReady("stubborn"));
  node.Delete("stubborn", 1);
  EXPECT_TRUE(node.UntilGone("stubborn"));
  ASSERT_TRUE(node.UntilReady("hook"));
  node.Delete("hook", 5);
  EXPECT_TRUE(node.UntilGone("hook"));
  EXPECT_TRUE(Exists(directory + "/stopped"));
}

// The scheduler gives the place of a pod away as soon as its object is gone.
TEST_F(PodTest, APodDeletedByForceHoldsNoPlace) {
  const auto with_port = [](const std::string& name, const std::string& script) {
    Pod pod = ShellPod(name, script);
    auto* port = pod.mutable_spec()->mutable_containers(0)->add_ports();
    port->set_container_port(80);
    port->set_host_port(34567);
    return pod;
  };
  node.Run(with_port("stubborn", "trap '' TERM; while true; do sleep 1; done"));
  ASSERT_TRUE(node.UntilReady("stubborn"));
  node.Delete("stubborn", 3000);
  node.Delete("stubborn", 0);
  node.Run(with_port("heir", kForever));
  EXPECT_TRUE(node.UntilReady("heir"));
}

TEST_F(PodTest, SharedProcessNamespace) {
  Pod pod = ShellPod("share", kForever);
  pod.mutable_spec()->set_share_process_namespace(true);
  auto* other = pod.mutable_spec()->add_containers();
  *other = pod.spec().containers(0);
  other->set_name("other");
  node.Run(pod);
  ASSERT_TRUE(node.UntilReady("share"));
  std::string processes = Shell("share", "ps");
  EXPECT_NE(processes.find("pause"), std::string::npos) << processes;
  node.Delete("share", 2);
  EXPECT_TRUE(node.UntilGone("share"));
}

TEST_F(PodTest, TerminalsHaveASize) {
  node.Run(ShellPod("tty", kForever));
  ASSERT_TRUE(node.UntilReady("tty"));
  auto [code, output] = node.Exec("tty", {"sh", "-c", "tty; exit 5"}, "", true);
  EXPECT_EQ(code, 5);
  EXPECT_TRUE(output.starts_with("/dev/pts/")) << output;
  EXPECT_EQ(node.Exec("tty", {"nothing"}, "", true).second,
            "OCI runtime exec failed: exec failed: unable to start container process: exec: "
            "\"nothing\": executable file not found in $PATH: unknown");
  EXPECT_EQ(node.Exec("absent", {"true"}).second, "pod \"absent\" not found on this node");
}

}  // namespace
}  // namespace gantry::node::testing
