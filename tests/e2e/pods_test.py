"""What the containers of a pod find around them: environment, user, rights, namespaces, names, limits."""

import json
import os
import re
from pathlib import Path

from cluster import IMAGE, main, wait_for
from pods import PodsTest, condition, config_map, full_name, once, pod, secret, shell, status

ENTRY = "example.local/entry:1"  # with an entry point, a user, a directory and variables of its own
FOREVER = "trap 'exit 0' TERM; while true; do sleep 1000 & wait $!; done"
STATUS = "grep -E '^(CapEff|CapBnd|NoNewPrivs|Seccomp):' /proc/self/status"
# What a container may hold by default, and what this machine can give at all.
DEFAULT_CAPABILITIES = 0xa80425fb
HELD = int(re.search(r"CapEff:\s+(\w+)", Path("/proc/self/status").read_text()).group(1), 16)

ENVIRONMENT = [
    {"name": "PLAIN", "value": "one"},
    {"name": "EXPANDED", "value": "$(PLAIN) $(pre_COLOR) $(LATER) $(NOWHERE) $$(PLAIN) $$$(PLAIN) $PLAIN $("},
    {"name": "LATER", "value": "two"},
    {"name": "SERVICE", "value": "$(DATA_BASE_SERVICE_HOST)"},
    {"name": "PICKED", "valueFrom": {"configMapKeyRef": {"name": "settings", "key": "SIZE"}}},
    {"name": "PASSWORD", "valueFrom": {"secretKeyRef": {"name": "keys", "key": "password"}}},
    {"name": "ABSENT", "valueFrom": {"secretKeyRef": {"name": "nowhere", "key": "x", "optional": True}}},
    {"name": "NAME", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}},
    {"name": "NAMESPACE", "valueFrom": {"fieldRef": {"fieldPath": "metadata.namespace"}}},
    {"name": "LABEL", "valueFrom": {"fieldRef": {"fieldPath": "metadata.labels['app']"}}},
    {"name": "NOTE", "valueFrom": {"fieldRef": {"fieldPath": "metadata.annotations['example.com/note']"}}},
    {"name": "IP", "valueFrom": {"fieldRef": {"fieldPath": "status.podIP"}}},
    {"name": "HOST", "valueFrom": {"fieldRef": {"fieldPath": "status.hostIP"}}},
    {"name": "NODE", "valueFrom": {"fieldRef": {"fieldPath": "spec.nodeName"}}},
    {"name": "ACCOUNT", "valueFrom": {"fieldRef": {"fieldPath": "spec.serviceAccountName"}}},
    {"name": "CPU", "valueFrom": {"resourceFieldRef": {"resource": "limits.cpu"}}},
    {"name": "MILLI", "valueFrom": {"resourceFieldRef": {"resource": "requests.cpu", "divisor": "1m"}}},
    {"name": "MEMORY", "valueFrom": {"resourceFieldRef": {"resource": "limits.memory", "divisor": "1Mi"}}},
    {"name": "BYTES", "valueFrom": {"resourceFieldRef": {"resource": "requests.memory"}}},
]


class EnvironmentTest(PodsTest):
    @classmethod
    def prepare(cls):
        cls.import_variant(ENTRY, Entrypoint=["echo", "entry"], Cmd=["default"], User="nobody", WorkingDir="/tmp",
                           Env=["PATH=/bin", "FROM_IMAGE=yes", "PLAIN=image"])
        cls.create(config_map("settings", COLOR="blue", SIZE="large", **{"1st.key": "odd"}),
                   secret("keys", password="hunter2"),
                   {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "data-base"}, "spec": {
                       "clusterIP": "10.43.7.7", "selector": {"app": "hosts"}, "ports": [
                           {"name": "sql", "port": 5432},
                           {"name": "http-alt", "port": 80, "targetPort": 8080, "protocol": "UDP"}]}})
        wait_for("the default service account", lambda: cls.out("get", "serviceaccount", "default", "-o", "name"))

    @classmethod
    def manifests(cls):
        root_profile = {"seccompProfile": {"type": "RuntimeDefault"}}
        return [
            once("env", main={
                "command": ["env"], "env": ENVIRONMENT,
                "envFrom": [{"configMapRef": {"name": "settings"}, "prefix": "pre_"}, {"secretRef": {"name": "keys"}},
                            {"configMapRef": {"name": "nowhere", "optional": True}}],
                "resources": {"requests": {"cpu": "250m", "memory": "32M"},
                              "limits": {"cpu": "1500m", "memory": "64Mi"}}},
                 meta={"annotations": {"example.com/note": "with 'quotes'"}}),
            once("unlinked", main={"command": ["env"]}, enableServiceLinks=False),
            once("args", main={"command": ["echo", "$(A)", "$$(A)", "$(B)"], "args": ["x$(A)x"],
                               "env": [{"name": "A", "value": "1"}]}),
            once("image-plain", main={"image": ENTRY}),
            once("image-args", main={"image": ENTRY, "args": ["given"]}),
            once("image-command", "id -u; id -g; pwd; echo $FROM_IMAGE $PLAIN $HOME; touch x && echo written",
                 main={"image": ENTRY, "env": [{"name": "PLAIN", "value": "pod"}]}),
            once("image-dir", "pwd; id -u; touch x && echo written",
                 main={"image": ENTRY, "workingDir": "/made/by/the/runtime", "securityContext": {"runAsUser": 0}}),
            # What does not start.
            pod("no-map", main={"envFrom": [{"configMapRef": {"name": "nowhere"}}]}),
            pod("no-secret", main={"envFrom": [{"secretRef": {"name": "nowhere"}}]}),
            pod("no-key", main={"env": [{"name": "A", "valueFrom": {"configMapKeyRef": {
                "name": "settings", "key": "nokey"}}}]}),
            pod("no-secret-key", main={"env": [{"name": "A", "valueFrom": {"secretKeyRef": {
                "name": "keys", "key": "nokey"}}}]}),
            pod("never", main={"image": "example.local/absent:1", "imagePullPolicy": "Never"}),
            pod("bad-name", main={"image": "Nginx"}),
            pod("nothing", main={"command": ["/nope"]}),
            once("nothing-once", main={"command": ["nope", "x"]}),
            pod("root-image", "sleep 1000", securityContext={"runAsNonRoot": True}),
            pod("root-user", "sleep 1000", main={"securityContext": {"runAsNonRoot": True, "runAsUser": 0}}),
            pod("named-user", main={"image": ENTRY, "securityContext": {"runAsNonRoot": True}}),
            pod("unsafe", "sleep 1000", securityContext={"sysctls": [{"name": "kernel.msgmax", "value": "65536"}]}),
            # Who a container is and what it may do.
            once("user", "id -u; id -g; id -G; cd /data; stat -c '%a %g' .; touch x; stat -c '%u %g' x; echo $HOME",
                 main={"volumeMounts": [{"name": "data", "mountPath": "/data"}]},
                 volumes=[{"name": "data", "emptyDir": {}}],
                 securityContext={"runAsUser": 1000, "runAsGroup": 2000, "supplementalGroups": [3000],
                                  "fsGroup": 4000}),
            once("plain", STATUS + "; ls /dev | sort | xargs echo; touch /sys/x 2>&1; (echo 5 > /proc/sys/vm/swappiness) 2>&1; cat /proc/timer_list | wc -c; umount /proc 2>&1; true"),
            once("dropped", STATUS, main={"securityContext": {
                **root_profile, "allowPrivilegeEscalation": False,
                "capabilities": {"drop": ["ALL"], "add": ["NET_ADMIN", "CHOWN"]}}}),
            once("added", STATUS, main={"securityContext": {
                "seccompProfile": {"type": "Unconfined"}, "capabilities": {"add": ["SYS_PTRACE"],
                                                                           "drop": ["MKNOD"]}}},
                 securityContext=root_profile),
            once("plain-user", STATUS, main={"securityContext": {"runAsUser": 1000}}, securityContext=root_profile),
            once("privileged", STATUS + "; test -c /dev/full && test -e /dev/tty0 -o -e /dev/mem -o -e /dev/fuse -o "
                 "-e /dev/loop-control -o -e /dev/net/tun; mount -t tmpfs x /mnt 2>&1 || mkdir /mnt && "
                 "mount -t tmpfs x /mnt && echo mounted",
                 main={"securityContext": {"privileged": True}}),
            once("read-only", "touch /x 2>&1; touch /etc/hosts && echo hosts; touch /dev/shm/x && echo shm; "
                 "echo last > /dev/termination-log", main={"securityContext": {"readOnlyRootFilesystem": True}}),
            once("sysctl", "cat /proc/sys/net/ipv4/ip_unprivileged_port_start /proc/sys/kernel/shm_rmid_forced",
                 securityContext={"sysctls": [
                     {"name": "net.ipv4.ip_unprivileged_port_start", "value": "80"},
                     {"name": "kernel.shm_rmid_forced", "value": "1"}]}),
            # Namespaces and names.
            once("host", "ip -4 -o address show eth0; hostname; readlink /proc/self/ns/pid; readlink /proc/self/ns/ipc; "
                 "head -1 /etc/hosts; ps | wc -l", hostNetwork=True, hostPID=True, hostIPC=True),
            pod("shared", FOREVER, shareProcessNamespace=True, containers=[
                shell("exec sleep 7777", "main"), shell(FOREVER, "other")]),
            pod("web", "mkdir /w; echo page > /w/index.html; exec httpd -f -p 8080 -h /w", main={
                "ports": [{"containerPort": 8080, "hostPort": 8088}]}),
            once("hosts", "sed -n '8,$p' /etc/hosts; cat /etc/hostname; hostname; hostname -f",
                 hostname="herbert", subdomain="office", hostAliases=[
                     {"ip": "1.2.3.4", "hostnames": ["one.example", "two.example"]}, {"ip": "::5", "hostnames": ["v6"]}]),
            once("fqdn", "hostname; cat /etc/hostname", hostname="herbert", subdomain="office",
                 setHostnameAsFQDN=True),
            pod("user-namespace", "sleep 1000", hostUsers=False),
            pod("x" * 50, "sleep 1000", subdomain="y" * 20, setHostnameAsFQDN=True),
            once("dns-first", "cat /etc/resolv.conf", dnsConfig={
                "searches": ["more.example"], "options": [{"name": "ndots", "value": "2"}, {"name": "edns0"}]}),
            once("dns-none", "cat /etc/resolv.conf", dnsPolicy="None", dnsConfig={
                "nameservers": ["1.1.1.1", "8.8.8.8"], "searches": ["a.example", "b.example"]}),
            once("dns-default", "cat /etc/resolv.conf", dnsPolicy="Default"),
            once("dns-host", "cat /etc/resolv.conf", dnsPolicy="ClusterFirstWithHostNet", hostNetwork=True),
            pod("limits", FOREVER, main={"resources": {"limits": {"cpu": "250m", "memory": "48Mi"},
                                                       "requests": {"cpu": "100m"}}}),
            pod("debugged", FOREVER, containers=[shell(FOREVER, "main"), shell(FOREVER, "second")]),
        ]

    def test_01_environment(self):
        lines = self.ended_log("env").splitlines()
        ip = self.read("env")["status"]["podIP"]
        found = dict(line.split("=", 1) for line in lines)
        for name, value in {
                "PLAIN": "one", "EXPANDED": "one blue $(LATER) $(NOWHERE) $(PLAIN) $one $PLAIN $(", "LATER": "two",
                "SERVICE": "10.43.7.7", "PICKED": "large", "PASSWORD": "hunter2", "password": "hunter2",
                "pre_COLOR": "blue", "pre_SIZE": "large", "pre_1st.key": "odd", "NAME": "env", "NAMESPACE": "default",
                "LABEL": "env", "NOTE": "with 'quotes'", "IP": ip, "HOST": self.machine.address, "NODE": "one",
                "ACCOUNT": "default", "CPU": "2", "MILLI": "250", "MEMORY": "64", "BYTES": "32000000",
                "HOSTNAME": "env", "HOME": "/root", "PATH": "/bin",
                "DATA_BASE_SERVICE_HOST": "10.43.7.7", "DATA_BASE_SERVICE_PORT": "5432",
                "DATA_BASE_SERVICE_PORT_SQL": "5432", "DATA_BASE_SERVICE_PORT_HTTP_ALT": "80",
                "DATA_BASE_PORT": "tcp://10.43.7.7:5432", "DATA_BASE_PORT_5432_TCP": "tcp://10.43.7.7:5432",
                "DATA_BASE_PORT_5432_TCP_PROTO": "tcp", "DATA_BASE_PORT_5432_TCP_PORT": "5432",
                "DATA_BASE_PORT_5432_TCP_ADDR": "10.43.7.7", "DATA_BASE_PORT_80_UDP": "udp://10.43.7.7:80",
                "KUBERNETES_SERVICE_HOST": "10.43.0.1", "KUBERNETES_SERVICE_PORT_HTTPS": "443"}.items():
            with self.subTest(name):
                self.assertEqual(found.get(name), value)
        self.assertNotIn("ABSENT", found)
        unlinked = self.ended_log("unlinked")
        self.assertNotIn("DATA_BASE", unlinked)
        self.assertIn("KUBERNETES_SERVICE_HOST=10.43.0.1", unlinked)
        self.assertEqual(self.ended_log("args"), "1 $(A) $(B) x1x\n")

    def test_02_image_defaults(self):
        self.assertEqual(self.ended_log("image-plain"), "entry default\n")
        self.assertEqual(self.ended_log("image-args"), "entry given\n")
        self.assertEqual(self.ended_log("image-command"), "65534\n65534\n/tmp\nyes pod /\nwritten\n")
        self.assertEqual(self.ended_log("image-dir"), "/made/by/the/runtime\n0\nwritten\n")

    def test_03_what_does_not_start(self):
        for name, reason, message in (
                ("no-map", "CreateContainerConfigError", 'configmap "nowhere" not found'),
                ("no-secret", "CreateContainerConfigError", 'secret "nowhere" not found'),
                ("no-key", "CreateContainerConfigError", "couldn't find key nokey in ConfigMap default/settings"),
                ("no-secret-key", "CreateContainerConfigError", "couldn't find key nokey in Secret default/keys"),
                ("root-image", "CreateContainerConfigError",
                 'container has runAsNonRoot and image will run as root (pod: "{pod}", container: main)'),
                ("root-user", "CreateContainerConfigError",
                 'container\'s runAsUser breaks non-root policy (pod: "{pod}", container: main)'),
                ("named-user", "CreateContainerConfigError", "container has runAsNonRoot and image has non-numeric "
                 'user (nobody), cannot verify user is non-root (pod: "{pod}", container: main)')):
            with self.subTest(name):
                message = message.format(pod=full_name(self.read(name)))
                self.assertEqual(self.waiting(name, reason), message)
                self.event("Failed", name, "Error: " + message)
                self.assertEqual(self.row(name), ["0/1", reason, "0"])
                self.assertEqual(condition(self.read(name), "ContainersReady"),
                                 ("False", "ContainersNotReady", "containers with unready status: [main]"))
        absent = 'Container image "example.local/absent:1" is not present with pull policy of Never'
        self.assertEqual(self.waiting("never", "ErrImageNeverPull"), absent)
        self.event("ErrImageNeverPull", "never", absent)
        self.event("Failed", "never", "Error: ErrImageNeverPull")
        name = 'Failed to apply default image tag "Nginx": couldn\'t parse image name "Nginx": invalid reference ' \
               'format: repository name (library/Nginx) must be lowercase'
        self.assertEqual(self.waiting("bad-name", "InvalidImageName"), name)
        self.event("InspectFailed", "bad-name", name)
        self.event("Failed", "bad-name", "Error: InvalidImageName")

    def test_04_missing_program(self):
        found = self.wait("nothing", "back-off", lambda p: status(p)["state"].get("waiting", {}).get(
            "reason") == "CrashLoopBackOff")
        self.assertEqual(status(found)["state"]["waiting"]["message"],
                         f"back-off {10 * status(found)['restartCount']}s restarting failed container=main "
                         f"pod={full_name(found)}")
        last = status(found)["lastState"]["terminated"]
        self.assertEqual((last["exitCode"], last["reason"]), (128, "StartError"))
        self.assertRegex(last["message"], "(?i)/nope.*no such file or directory")
        self.assertEqual(last["startedAt"], "1970-01-01T00:00:00Z")
        self.event_like("Failed", "nothing", "Error: .*/nope.*")
        found = self.phase("nothing-once", "Failed")
        self.assertEqual(status(found)["state"]["terminated"]["reason"], "StartError")
        self.assertEqual(self.row("nothing-once"), ["0/1", "StartError", "0"])
        done = self.kubectl("exec", "limits", "--", "nope", check=False)
        self.assertNotEqual(done.returncode, 0)
        self.assertRegex(done.stderr, '(?i)"?`?nope[`"]?: .*not found|no such file')

    def test_05_rejected(self):
        message = 'forbidden sysctl: "kernel.msgmax" not allowlisted'
        found = self.phase("unsafe", "Failed")
        self.assertEqual(found["status"]["reason"], "SysctlForbidden")
        self.assertEqual(found["status"]["message"], "Pod was rejected: " + message)
        self.event("SysctlForbidden", "unsafe", message)
        self.assertEqual(self.row("unsafe")[1], "SysctlForbidden")

        refused = self.error("apply", "-f", "-", text_in=json.dumps(pod("bare-proc", "true", main={
            "securityContext": {"procMount": "Unmasked"}})))
        self.assertIn('spec.containers[0].securityContext.procMount: Invalid value: "Unmasked": `hostUsers` must be '
                      "false to use `Unmasked`", refused)

    def test_06_users(self):
        self.assertEqual(self.ended_log("user"), "1000\n2000\n2000 3000 4000\n2777 4000\n1000 4000\n/\n")

    def held(self, name):
        lines = self.ended_log(name).splitlines()
        found = dict(line.split(":\t") for line in lines[:4])
        return int(found["CapEff"], 16), int(found["CapBnd"], 16), found["NoNewPrivs"], found["Seccomp"], lines[4:]

    def test_07_rights(self):
        default = DEFAULT_CAPABILITIES & HELD
        effective, bound, no_new, seccomp, rest = self.held("plain")
        self.assertEqual((effective, bound, no_new, seccomp), (default, default, "0", "0"))
        # crun makes a link "core" also where the kernel has no such file.
        devices = [one for one in rest[0].split() if one != "core"]
        self.assertEqual(devices, ["fd", "full", "mqueue", "null", "ptmx", "pts", "random", "shm", "stderr", "stdin",
                                   "stdout", "termination-log", "tty", "urandom", "zero"])
        self.assertIn("Read-only file system", rest[1])
        self.assertIn("Read-only file system", rest[2])
        self.assertEqual(rest[3], "0")
        self.assertEqual(self.held("dropped")[:4], ((1 << 12 | 1) & HELD, (1 << 12 | 1) & HELD, "1", "2"))
        added = (DEFAULT_CAPABILITIES | 1 << 19) & ~(1 << 27) & HELD
        self.assertEqual(self.held("added")[:4], (added, added, "0", "0"))
        self.assertEqual(self.held("plain-user")[:4], (0, default, "0", "2"))
        effective, bound, no_new, seccomp, rest = self.held("privileged")
        self.assertEqual((effective, bound, no_new, seccomp), (HELD, HELD, "0", "0"))
        self.assertEqual(rest[-1], "mounted")
        self.assertEqual(self.ended_log("read-only"), "touch: /x: Read-only file system\nhosts\nshm\n")
        self.assertEqual(status(self.read("read-only"))["state"]["terminated"]["message"], "last\n")
        self.assertEqual(self.ended_log("sysctl"), "80\n1\n")

    def test_08_namespaces(self):
        lines = self.ended_log("host").splitlines()
        self.assertIn(self.machine.address + "/", lines[0])
        self.assertEqual(lines[1], os.uname().nodename)
        self.assertEqual(lines[2:4], [os.readlink("/proc/self/ns/pid"), os.readlink("/proc/self/ns/ipc")])
        self.assertEqual(lines[4], "# Kubernetes-managed hosts file (host network).")
        self.assertEqual(self.read("host")["status"]["podIP"], self.machine.address)
        self.ready("shared")
        seen = self.out("exec", "shared", "-c", "other", "--", "ps", "-o", "pid,args")
        self.assertRegex(seen, r"(?m)^ +\d+ sleep 7777$")
        self.assertRegex(seen, r"(?m)^ +1 .*pause")
        self.ready("web")
        self.assertEqual(self.machine.fetch(f"http://{self.machine.address}:8088/"), "page\n")
        self.assertEqual(self.machine.fetch("http://127.0.0.1:8088/"), "page\n")

    def test_09_names(self):
        ip = self.read("hosts")["status"]["podIP"]
        self.assertEqual(self.ended_log("hosts"), f"{ip}\therbert.office.default.svc.cluster.local\therbert\n\n"
                         "# Entries added by HostAliases.\n1.2.3.4\tone.example\ttwo.example\n::5\tv6\n"
                         "herbert\nherbert\nherbert.office.default.svc.cluster.local\n")
        full = "herbert.office.default.svc.cluster.local\n"
        self.assertEqual(self.ended_log("fqdn"), full * 2)
        long = "x" * 50
        self.event("FailedCreatePodSandBox", long, "Failed to create pod sandbox: failed to construct FQDN from pod "
                   f"hostname and cluster domain, FQDN {long}.{'y' * 20}.default.svc.cluster.local is too long (64 "
                   "characters is the max, 97 characters requested)")
        self.assertEqual(self.row(long)[1], "ContainerCreating")
        self.event("FailedCreatePodSandBox", "user-namespace", "Failed to create pod sandbox: RuntimeClass handler "
                   '"" does not support user namespaces')

    def test_10_name_servers(self):
        host = Path("/etc/resolv.conf").read_text()
        searches = " ".join(re.findall(r"(?m)^search (.*)$", host)[-1:]).split()
        mine = ["default.svc.cluster.local", "svc.cluster.local", "cluster.local"]
        self.assertEqual(self.ended_log("dns-first"), "search " + " ".join(mine + searches + ["more.example"]) +
                         "\nnameserver 10.43.0.10\noptions ndots:2 edns0\n")
        self.assertEqual(self.ended_log("dns-none"),
                         "search a.example b.example\nnameserver 1.1.1.1\nnameserver 8.8.8.8\n")
        self.assertEqual(re.findall(r"(?m)^nameserver (.*)$", self.ended_log("dns-default")),
                         re.findall(r"(?m)^nameserver (.*)$", host)[:3])
        self.assertEqual(self.ended_log("dns-host"), "search " + " ".join(mine + searches) +
                         "\nnameserver 10.43.0.10\noptions ndots:5\n")

    def test_11_limits(self):
        found = self.ready("limits")
        self.assertEqual(found["status"]["qosClass"], "Burstable")
        pid = self.out("exec", "limits", "--", "cat", "/proc/self/cgroup")
        files = {}
        for line in pid.splitlines():
            _, controllers, path = line.split(":", 2)
            files[controllers] = path
        groups = [found["metadata"]["uid"] in path for path in files.values()]
        self.assertTrue(any(groups) or all(path == "/" for path in files.values()), pid)
        seen = self.out("exec", "limits", "--", "sh", "-c",
                        "cd /sys/fs/cgroup; cat memory.max memory/memory.limit_in_bytes cpu.max cpu/cpu.cfs_quota_us "
                        "cpu/cpu.shares pids.max pids/pids.max 2>/dev/null; true").split()
        self.assertIn(str(48 << 20), seen)
        self.assertIn("25000", seen)

    def test_12_debug(self):
        self.ready("debugged")
        self.out("debug", "debugged", "--image=" + IMAGE, "-c", "look", "--target=main",
                 "--image-pull-policy=IfNotPresent", "--", "sh", "-c", "ps -o pid,args; exit 3")
        found = self.wait("debugged", "the ephemeral container's end",
                          lambda p: "terminated" in status(p, "look")["state"])
        self.assertEqual(status(found, "look")["state"]["terminated"]["exitCode"], 3)
        self.assertRegex(self.out("logs", "debugged", "-c", "look"), "(?m)^ +1 sh -c trap")
        self.assertEqual(self.row("debugged"), ["2/2", "Running", "0"])
        done = self.kubectl("debug", "-i", "debugged", "--image=" + IMAGE, "-c", "talk", "--", "sh", "-c",
                            "read line; echo got $line", text_in="words\n")
        self.assertIn("got words", done.stdout)


if __name__ == "__main__":
    main(90)
