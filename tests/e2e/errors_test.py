"""Bad input, on the command line and to the API: one clear line, exit code 1, nothing damaged."""

import json
import os
import shutil
import subprocess
import unittest

from cluster import GANTRY, IMAGE, ClusterTest, Machine, Server, Service, Switch, close_all, main, pod, run


class CommandLineTest(unittest.TestCase):
    def setUp(self):
        self.addCleanup(close_all)
        self.machine = Machine(Switch())

    def fails(self, service, *command, env=None):
        """The one line on stderr of a gantry that has to end with 1."""
        done = self.machine.run(*(command or (GANTRY, service.arguments[0], "--data-dir", service.data,
                                              *service.arguments[1:])), check=False, env=env, timeout=20)
        self.assertEqual(done.returncode, 1, done.stdout + done.stderr)
        self.assertEqual(done.stdout, "")
        self.assertRegex(done.stderr, r"^gantry: [^\n]*\n$")
        return done.stderr[len("gantry: "):-1]

    def test_port_and_data_directory_in_use(self):
        server = Server(self.machine, "--no-agent")
        server.start()
        message = self.fails(Server(self.machine, "--no-agent"))
        self.assertIn("6443", message)
        self.assertRegex(message, "(?i)address already in use")
        self.assertIn("--https-port", message)
        self.assertEqual(self.fails(server), f"data directory {server.data} is in use by process "
                         f"{server.process.pid}; stop that process, or choose another with --data-dir")
        self.assertIn("is in use by process", self.fails(server, GANTRY, "cleanup", "--data-dir", server.data))
        self.assertEqual(server.out("get", "--raw", "/readyz"), "ok")

    def test_corrupt_store(self):
        server = Server(self.machine, "--no-agent")
        server.start()
        server.out("create", "configmap", "kept")
        server.stop()
        store = server.data / "state.db"
        good = store.read_bytes()
        for name, bad in (("no database", b"this is not a database\n" * 400),
                          ("torn pages", good[:4096] + os.urandom(len(good) - 4096))):
            with self.subTest(name):
                store.write_bytes(bad)
                message = self.fails(server)
                self.assertIn("state.db", message)
                self.assertEqual(store.read_bytes(), bad, "a damaged store is left for its owner to look at")
        store.write_bytes(good)
        server.start()
        self.assertEqual(server.get("configmap", "kept", "{.metadata.name}"), "kept")

    def test_not_root(self):
        service = Service(self.machine, "server")
        service.dir.chmod(0o777)
        binary = service.dir / "gantry"  # where others may reach it
        shutil.copy(GANTRY, binary)
        message = self.fails(service, "setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", binary,
                             "server", "--data-dir", service.data)
        self.assertEqual(message, "running containers needs root; run it with sudo, or without containers: --no-agent")
        self.assertFalse(service.data.exists())
        run("mkdir", "-m", "700", service.data)
        message = self.fails(service, "setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", binary,
                             "server", "--no-agent", "--data-dir", service.data)
        self.assertIn("cannot use the data directory; choose another with --data-dir", message)
        self.assertIn("Permission denied", message)

    def test_missing_programs(self):
        """crun and conmon are also looked for in /usr/bin: they are hidden by a mount namespace's own /usr/bin."""
        for missing, message in ((("crun", "runc"), "no container runtime found; install one: apt-get install crun"),
                                 (("conmon",), "conmon not found; install it: apt-get install conmon")):
            with self.subTest(missing):
                service = Service(self.machine, "server")
                hide = "; ".join(f"for d in /usr/bin /usr/sbin /usr/local/bin /usr/local/sbin; do "
                                 f"[ ! -e $d/{name} ] || mount --bind {service.dir}/hidden $d/{name}; done"
                                 for name in missing)
                (service.dir / "hidden").touch(0o600)
                self.assertEqual(self.fails(service, "unshare", "--mount", "sh", "-c",
                                            f'{hide}; exec "$0" "$@"', GANTRY, "server", "--data-dir", service.data),
                                 message)

    def test_flags(self):
        service = Service(self.machine, "server")
        for arguments, message in (
                (("--service-cidr", "x"), '--service-cidr: "x" is not a network such as 10.42.0.0/16'),
                (("--store", "paper"), "--store paper is not supported; sqlite and etcd://HOST:PORT,... are")):
            with self.subTest(arguments):
                self.assertEqual(self.fails(service, GANTRY, "server", "--no-agent", "--data-dir", service.data,
                                            *arguments), message)
        done = self.machine.run(GANTRY, "server", "--no-such-flag", check=False)
        self.assertNotEqual(done.returncode, 0)
        self.assertIn("--no-such-flag", done.stderr)
        self.assertIn("token", self.fails(service, GANTRY, "agent", "--server", "https://127.0.0.1:6443",
                                          "--token", "nonsense", "--data-dir", service.data))


class ApiTest(ClusterTest):
    SERVER_ARGUMENTS = ("--no-agent",)

    def refused(self, manifest, *arguments):
        return self.error("create", "-f", "-", *arguments, text_in=manifest)

    def raw(self, path, body, method="POST", kind="application/json"):
        """The Status that the server answers with."""
        if not hasattr(ApiTest, "proxy"):
            ApiTest.proxy = self.server.spawn_kubectl("proxy", "--port=8001", stdout=subprocess.DEVNULL)
        answer = self.machine.run("curl", "-sS", "--retry", "20", "--retry-connrefused", "--retry-delay", "1", "-X",
                                  method, "-H", "Content-Type: " + kind, "-H", "Expect:", "--data-binary", "@-",
                                  "http://127.0.0.1:8001" + path, text_in=body).stdout
        return json.loads(answer)

    def assert_status(self, status, code, reason, message):
        self.assertEqual((status["kind"], status["status"], status["code"], status.get("reason"), status["message"]),
                         ("Status", "Failure", code, reason, message))

    def test_fields(self):
        good = pod("p", "true")
        typo = good.replace("    command:", "    comand:")
        self.assertEqual(self.refused(typo, "--validate=strict"),
                         'Error from server (BadRequest): error when creating "STDIN": Pod in version "v1" cannot be '
                         'handled as a Pod: strict decoding error: unknown field "spec.containers[0].comand"')
        self.assertIn('Warning: unknown field "spec.containers[0].comand"',
                      self.kubectl("create", "--dry-run=server", "-f", "-", "--validate=warn", text_in=typo).stderr)
        body = '{"kind":"ConfigMap","apiVersion":"v1","metadata":{"name":"c","name":"d"}}'
        self.assert_status(self.raw("/api/v1/namespaces/default/configmaps?fieldValidation=Strict", body), 400,
                           "BadRequest", 'ConfigMap in version "v1" cannot be handled as a ConfigMap: strict decoding '
                           'error: duplicate field "metadata.name"')
        status = self.raw("/api/v1/namespaces/default/configmaps", '{"kind":"ConfigMap","apiVersion":"v1",')
        self.assertEqual((status["code"], status["reason"]), (400, "BadRequest"))
        status = self.raw("/api/v1/namespaces/default/pods", '{"kind":"Pod","apiVersion":"v1","spec":{"nodeName":7}}')
        self.assertEqual((status["code"], status["reason"]), (400, "BadRequest"))
        self.assertEqual(status["message"], 'Pod in version "v1" cannot be handled as a Pod: json: cannot unmarshal '
                         'number into Go struct field PodSpec.spec.nodeName of type string')

    def test_names_and_values(self):
        for name, manifest, message in (
                ("upper case", pod("Web_1", "true").replace("app: Web_1", "app: x"),
                 'metadata.name: Invalid value: "Web_1": a lowercase RFC 1123 subdomain must consist of lower case '
                 "alphanumeric characters, '-' or '.', and must start and end with an alphanumeric character (e.g. "
                 "'example.com', regex used for validation is "
                 "'[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')"),
                ("no image", pod("p", "true").replace(f"    image: {IMAGE}\n", ""),
                 "spec.containers[0].image: Required value"),
                ("port", pod("p", "true", container="ports: [{containerPort: 70000}]"),
                 "spec.containers[0].ports[0].containerPort: Invalid value: 70000: must be between 1 and 65535, "
                 "inclusive"),
                ("limits", pod("p", "true", container="resources: {requests: {cpu: 2}, limits: {cpu: 1}}"),
                 'spec.containers[0].resources.requests: Invalid value: "2": must be less than or equal to cpu limit '
                 "of 1")):
            with self.subTest(name):
                pod_name = "Web_1" if name == "upper case" else "p"
                self.assertEqual(self.refused(manifest), f'The Pod "{pod_name}" is invalid: {message}')
        self.assertIn('deployments.apps is forbidden: User "nobody" cannot create resource "deployments" in API group '
                      '"apps" in the namespace "default"',
                      self.error("create", "deployment", "web", "--image=x", "--as=nobody"))

    def test_size(self):
        body = json.dumps({"kind": "ConfigMap", "apiVersion": "v1", "metadata": {"name": "big"},
                           "data": {"k": "x" * (1600 * 1024)}})
        status = self.raw("/api/v1/namespaces/default/configmaps", body)
        self.assertIn((status["code"], status["reason"]), [(422, "Invalid"), (413, "RequestEntityTooLarge")])
        self.assertEqual(self.error("get", "configmap", "big"),
                         'Error from server (NotFound): configmaps "big" not found')
        status = self.raw("/api/v1/namespaces/default/configmaps", json.dumps(
            {"kind": "ConfigMap", "apiVersion": "v1", "metadata": {"name": "big"}, "data": {"k": "x" * (4 << 20)}}))
        self.assertEqual((status["code"], status["reason"]), (413, "RequestEntityTooLarge"))

    def test_selectors_and_paths(self):
        self.assert_status(self.raw("/api/v1/pods?labelSelector=a%20in%20(", "", "GET"), 400, "BadRequest",
                           "unable to parse requirement: found '', expected: ',', ')' or identifier")
        self.assertIn("metadata.nope", self.error("get", "pods", "--field-selector", "metadata.nope=1"))
        self.assert_status(self.raw("/api/v1/namespaces/default/pods/none", "", "GET"), 404, "NotFound",
                           'pods "none" not found')
        self.assert_status(self.raw("/api/v1/nothings", "", "GET"), 404, "NotFound",
                           "the server could not find the requested resource")
        self.assert_status(self.raw("/api/v1/namespaces/default/pods", "x", kind="text/plain"), 415,
                           "UnsupportedMediaType", "the body of the request was in an unknown format - accepted media "
                           "types include: application/json, application/yaml, application/vnd.kubernetes.protobuf")

    def test_conflicts(self):
        self.out("create", "configmap", "c", "--from-literal=a=1")
        old = self.out("get", "configmap", "c", "-o", "json")
        self.out("patch", "configmap", "c", "-p", '{"data":{"a":"2"}}')
        self.assert_status(self.raw("/api/v1/namespaces/default/configmaps/c", old, "PUT"), 409, "Conflict",
                           'Operation cannot be fulfilled on configmaps "c": the object has been modified; please '
                           "apply your changes to the latest version and try again")
        self.assertEqual(self.error("create", "configmap", "c"),
                         'error: failed to create configmap: configmaps "c" already exists')
        self.assertEqual(self.refused("apiVersion: v1\nkind: ConfigMap\nmetadata: {name: c, namespace: void}"),
                         'Error from server (NotFound): error when creating "STDIN": namespaces "void" not found')

    def test_strangers(self):
        url = "https://127.0.0.1:6443/api/v1/namespaces/default/pods"
        status = json.loads(self.machine.run("curl", "-sk", url).stdout)
        self.assert_status(status, 403, "Forbidden", 'pods is forbidden: User "system:anonymous" cannot list resource '
                           '"pods" in API group "" in the namespace "default"')
        status = json.loads(self.machine.run("curl", "-sk", "-H", "Authorization: Bearer x", url).stdout)
        self.assert_status(status, 401, "Unauthorized", "Unauthorized")


if __name__ == "__main__":
    main(85)
