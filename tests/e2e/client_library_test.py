"""A client library that gantry's authors did not write: the Kubernetes project's Python client, typed and dynamic."""

import base64
import ctypes
import datetime
import json
import os
import sys
import threading
import time

try:
    import kubernetes
except ImportError:  # Debian has it for its own Python, which need not be the first one
    if os.path.realpath(sys.executable) == os.path.realpath("/usr/bin/python3"):
        sys.exit("these tests need python3-kubernetes; scripts/install-deps test installs it")
    os.execv("/usr/bin/python3", ["/usr/bin/python3", *sys.argv])

from kubernetes import client, config, dynamic, stream, watch
from kubernetes.client.rest import ApiException

from cluster import IMAGE, ClusterTest, main, wait_for

NS = "default"


def enter(namespace):
    """Moves this thread, and those that it starts, into a network namespace: the library has no proxy to be told of."""
    with open(f"/run/netns/{namespace}") as handle:
        if ctypes.CDLL(None, use_errno=True).setns(handle.fileno(), 0x40000000) != 0:
            raise OSError(ctypes.get_errno(), "setns")


def pod(name, command, labels=None, **spec):
    container = {"name": "main", "image": IMAGE, "command": ["sh", "-c", command]}
    return {"apiVersion": "v1", "kind": "Pod",
            "metadata": {"name": name, "labels": {"app": name, **(labels or {})}},
            "spec": {"terminationGracePeriodSeconds": 1, "containers": [container], **spec}}


class ClientLibraryTest(ClusterTest):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        enter(cls.machine.namespace)
        cls.api_client = config.new_client_from_config(str(cls.server.data / "kubeconfig"))
        cls.core = client.CoreV1Api(cls.api_client)
        cls.apps = client.AppsV1Api(cls.api_client)
        cls.batch = client.BatchV1Api(cls.api_client)
        cls.rbac = client.RbacAuthorizationV1Api(cls.api_client)
        cls.dynamic = dynamic.DynamicClient(cls.api_client)

    def refused(self, status, call, *arguments, **options):
        """The Status of a call that has to fail with this code."""
        with self.assertRaises(ApiException) as caught:
            call(*arguments, **options)
        self.assertEqual(caught.exception.status, status, caught.exception.body)
        body = json.loads(caught.exception.body)
        self.assertEqual((body["kind"], body["status"], body["code"]), ("Status", "Failure", status))
        return body

    def running(self, name):
        def ready():
            status = self.core.read_namespaced_pod(name, NS).status
            return status.phase == "Running" and status.container_statuses[0].ready

        wait_for(f"pod {name}", ready)

    def test_pods(self):
        """A pod's life by the typed client: watch, patch, exec, logs, delete."""
        before = self.core.list_namespaced_pod(NS)
        made = self.core.create_namespaced_pod(NS, pod("web", "echo hello; sleep 1000"))
        self.assertIsInstance(made.metadata.creation_timestamp, datetime.datetime)
        seen = []
        for event in watch.Watch().stream(self.core.list_namespaced_pod, NS, label_selector="app=web",
                                          resource_version=before.metadata.resource_version, timeout_seconds=60):
            seen.append(event["type"])
            status = event["object"].status
            if status.phase == "Running" and all(one.ready for one in status.container_statuses):
                break
        self.assertEqual(seen[0], "ADDED")
        self.assertIn("MODIFIED", seen)

        patched = self.core.patch_namespaced_pod("web", NS, {"metadata": {"labels": {"tier": "front"}}})
        self.assertEqual(patched.metadata.labels, {"app": "web", "tier": "front"})
        body = self.refused(422, self.core.patch_namespaced_pod, "web", NS, {"spec": {"hostNetwork": True}})
        self.assertIn("pod updates may not change fields other than", body["message"])

        out = stream.stream(self.core.connect_get_namespaced_pod_exec, "web", NS, command=["sh", "-c", "echo to $0", "you"],
                            stdout=True, stderr=True, stdin=False, tty=False)
        self.assertEqual(out, "to you\n")
        shell = stream.stream(self.core.connect_get_namespaced_pod_exec, "web", NS, command=["sh"], stdin=True,
                              stdout=True, stderr=True, tty=False, _preload_content=False)
        shell.write_stdin("echo out; echo err >&2; exit 3\n")
        shell.run_forever(timeout=20)
        self.assertEqual((shell.read_stdout(), shell.read_stderr(), shell.returncode), ("out\n", "err\n", 3))

        self.assertEqual(self.core.read_namespaced_pod_log("web", NS), "hello\n")
        lines = watch.Watch().stream(self.core.read_namespaced_pod_log, "web", NS, tail_lines=1)
        self.assertEqual(next(lines), "hello")
        eviction = client.V1Eviction(metadata=client.V1ObjectMeta(name="web", namespace=NS)) \
            if hasattr(client, "V1Eviction") else \
            client.V1beta1Eviction(metadata=client.V1ObjectMeta(name="web", namespace=NS))
        self.core.create_namespaced_pod_eviction("web", NS, eviction)
        wait_for("the pod's end", lambda: not self.core.list_namespaced_pod(NS, label_selector="app=web").items)
        body = self.refused(404, self.core.read_namespaced_pod, "web", NS)
        self.assertEqual((body["reason"], body["message"]), ("NotFound", 'pods "web" not found'))

    def test_deployment_and_propagation(self):
        labels = {"app": "dep"}
        template = client.V1PodTemplateSpec(
            metadata=client.V1ObjectMeta(labels=labels),
            spec=client.V1PodSpec(containers=[client.V1Container(name="c", image=IMAGE, command=["sleep", "1000"])],
                                  termination_grace_period_seconds=1))
        spec = client.V1DeploymentSpec(replicas=2, selector=client.V1LabelSelector(match_labels=labels),
                                       template=template)
        self.apps.create_namespaced_deployment(NS, client.V1Deployment(
            metadata=client.V1ObjectMeta(name="dep"), spec=spec))
        wait_for("two replicas", lambda: self.apps.read_namespaced_deployment_status(
            "dep", NS).status.available_replicas == 2)
        scale = self.apps.read_namespaced_deployment_scale("dep", NS)
        self.assertEqual((scale.spec.replicas, scale.status.selector), (2, "app=dep"))
        scale.spec.replicas = 1
        self.apps.replace_namespaced_deployment_scale("dep", NS, scale)
        wait_for("one replica", lambda: len(self.core.list_namespaced_pod(NS, label_selector="app=dep").items) == 1)
        body = self.refused(409, self.apps.replace_namespaced_deployment_scale, "dep", NS, scale)
        self.assertEqual(body["reason"], "Conflict")
        # Orphan leaves the replica set, Foreground takes everything first.
        self.apps.delete_namespaced_deployment("dep", NS, propagation_policy="Orphan")

        def orphan():
            sets = self.apps.list_namespaced_replica_set(NS, label_selector="app=dep").items
            return len(sets) == 1 and not sets[0].metadata.owner_references and sets[0]

        left = wait_for("an orphaned replica set", orphan)
        # Its finalizer is the last to go.
        wait_for("the deployment's end", lambda: "dep" not in [
            one.metadata.name for one in self.apps.list_namespaced_deployment(NS).items])
        self.refused(404, self.apps.read_namespaced_deployment, "dep", NS)
        self.apps.delete_namespaced_replica_set(left.metadata.name, NS, body=client.V1DeleteOptions(
            propagation_policy="Foreground"))
        wait_for("no pods", lambda: not self.core.list_namespaced_pod(NS, label_selector="app=dep").items)
        wait_for("no replica set", lambda: not self.apps.list_namespaced_replica_set(
            NS, label_selector="app=dep").items)

    def test_objects_of_many_kinds(self):
        """Create, read, replace, patch, list and delete by the dynamic client, which asks discovery what there is."""
        for group_version, kind, extra, patch in (
                ("v1", "ConfigMap", {"data": {"a": "1"}}, {"data": {"b": "2"}}),
                ("v1", "Secret", {"stringData": {"a": "1"}}, {"data": {"b": base64.b64encode(b"2").decode()}}),
                ("v1", "Service", {"spec": {"ports": [{"port": 80}]}}, {"spec": {"selector": {"a": "b"}}}),
                ("v1", "PersistentVolumeClaim", {"spec": {"accessModes": ["ReadWriteOnce"], "resources": {
                    "requests": {"storage": "1Gi"}}}}, {"metadata": {"labels": {"x": "y"}}}),
                ("v1", "ResourceQuota", {"spec": {"hard": {"count/jobs.batch": "5"}}},
                 {"spec": {"hard": {"count/jobs.batch": "6"}}}),
                ("batch/v1", "CronJob", {"spec": {"schedule": "0 0 1 1 *", "jobTemplate": {"spec": {"template": {"spec": {
                    "restartPolicy": "Never", "containers": [{"name": "c", "image": "i"}]}}}}}},
                 {"spec": {"suspend": True}}),
                ("networking.k8s.io/v1", "NetworkPolicy", {"spec": {"podSelector": {}}},
                 {"spec": {"policyTypes": ["Ingress", "Egress"]}}),
                ("networking.k8s.io/v1", "Ingress", {"spec": {"defaultBackend": {"service": {
                    "name": "x", "port": {"number": 80}}}}}, {"metadata": {"annotations": {"x": "y"}}}),
                ("policy/v1", "PodDisruptionBudget", {"spec": {"minAvailable": 1, "selector": {"matchLabels": {"a": "b"}}}},
                 {"spec": {"minAvailable": "50%"}}),
                ("rbac.authorization.k8s.io/v1", "Role", {"rules": []},
                 {"rules": [{"verbs": ["get"], "apiGroups": [""], "resources": ["pods"]}]}),
                ("coordination.k8s.io/v1", "Lease", {"spec": {"holderIdentity": "me"}},
                 {"spec": {"leaseDurationSeconds": 10}}),
                ("autoscaling/v2", "HorizontalPodAutoscaler", {"spec": {"maxReplicas": 3, "scaleTargetRef": {
                    "kind": "Deployment", "name": "x", "apiVersion": "apps/v1"}}}, {"spec": {"maxReplicas": 4}}),
        ):
            with self.subTest(kind):
                resource = self.dynamic.resources.get(api_version=group_version, kind=kind)
                body = {"apiVersion": group_version, "kind": kind, "metadata": {"name": "thing"}, **extra}
                made = resource.create(body=body, namespace=NS)
                self.assertEqual((made.kind, made.apiVersion, made.metadata.name), (kind, group_version, "thing"))
                refused = self.refused(409, resource.create, body=body, namespace=NS)
                self.assertEqual(refused["reason"], "AlreadyExists")
                wait_for("a quiet object", lambda: resource.get(
                    name="thing", namespace=NS).metadata.resourceVersion == resource.get(
                        name="thing", namespace=NS).metadata.resourceVersion)
                patched = resource.patch(body=patch, name="thing", namespace=NS,
                                         content_type="application/merge-patch+json")
                self.assertGreater(int(patched.metadata.resourceVersion), int(made.metadata.resourceVersion))
                stale = made.to_dict()
                self.assertEqual(self.refused(409, resource.replace, body=stale, namespace=NS)["message"],
                                 f'Operation cannot be fulfilled on {refused["details"]["kind"]}'
                                 + (f'.{refused["details"]["group"]}' if "group" in refused["details"] else "") +
                                 ' "thing": the object has been modified; please apply your changes to the latest '
                                 'version and try again')
                self.assertIn("thing", [item.metadata.name for item in resource.get(namespace=NS).items])
                resource.delete(name="thing", namespace=NS)
                wait_for(f"no {kind}", lambda: "thing" not in [
                    item.metadata.name for item in resource.get(namespace=NS).items])

    def test_apply(self):
        """Server-side apply: fields belong to managers, who get into conflicts."""
        maps = self.dynamic.resources.get(api_version="v1", kind="ConfigMap")

        def apply(manager, data, force=False):
            # This version of the library knows the media type of a patch only by its first letters: JSON is sent as text.
            body = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "applied"}, "data": data}
            return self.api_client.call_api(
                f"/api/v1/namespaces/{NS}/configmaps/applied", "PATCH", body=json.dumps(body),
                query_params=[("fieldManager", manager), ("force", str(force).lower())],
                header_params={"Content-Type": "application/apply-patch+yaml", "Accept": "application/json"},
                auth_settings=["BearerToken"], response_type="object", _return_http_data_only=True)

        apply("one", {"a": "1", "b": "1"})
        apply("two", {"c": "2"})
        conflict = self.refused(409, apply, "two", {"a": "2", "c": "2"})
        self.assertEqual(conflict["message"], 'Apply failed with 1 conflict: conflict with "one": .data.a')
        self.assertEqual(conflict["details"]["causes"], [
            {"reason": "FieldManagerConflict", "message": 'conflict with "one"', "field": ".data.a"}])
        apply("two", {"a": "2", "c": "2"}, force=True)
        apply("one", {"b": "1"})
        self.assertEqual(maps.get(name="applied", namespace=NS).to_dict()["data"], {"a": "2", "b": "1", "c": "2"})
        apply("one", {})
        self.assertEqual(maps.get(name="applied", namespace=NS).to_dict()["data"], {"a": "2", "c": "2"})
        wrong = self.refused(500, apply, "one", {"a": 1})
        self.assertIn("failed to create typed patch object (/applied; /v1, Kind=ConfigMap): .data.a: expected string, "
                      "got &value.valueUnstructured{Value:1}", wrong["message"])
        maps.delete(name="applied", namespace=NS)

    def test_watches(self):
        """From a revision, with bookmarks, over the end of its time, and from one that is gone."""
        maps = self.dynamic.resources.get(api_version="v1", kind="ConfigMap")
        start = maps.get(namespace=NS).metadata.resourceVersion
        for number in range(3):
            maps.create(body={"metadata": {"name": f"watched-{number}", "labels": {"w": "1"}}}, namespace=NS)
        maps.delete(name="watched-1", namespace=NS)
        events = [(event["type"], event["object"].metadata.name) for event in maps.watch(
            namespace=NS, resource_version=start, label_selector="w=1", timeout=2)]
        self.assertEqual(events, [("ADDED", "watched-0"), ("ADDED", "watched-1"), ("ADDED", "watched-2"),
                                  ("DELETED", "watched-1")])
        names = [event["object"].metadata.name for event in maps.watch(
            namespace=NS, field_selector="metadata.name=watched-2", timeout=1)]
        self.assertEqual(names, ["watched-2"])
        # Changes are remembered up to 64 MiB of a kind; who asks for more is told so inside the stream.
        self.core.create_namespaced_config_map(NS, {"metadata": {"name": "big"}})
        for number in range(80):
            self.core.replace_namespaced_config_map("big", NS, {
                "metadata": {"name": "big"}, "data": {"number": str(number), "rest": "x" * 1000000}})
        self.core.delete_namespaced_config_map("big", NS)
        with self.assertRaises(ApiException) as caught:
            list(watch.Watch().stream(self.core.list_namespaced_config_map, NS, resource_version=start,
                                      timeout_seconds=5))
        self.assertEqual(caught.exception.status, 410)
        self.assertRegex(caught.exception.reason, rf"Expired: too old resource version: {start} \(\d+\)")
        for name in ("watched-0", "watched-2"):
            maps.delete(name=name, namespace=NS)

    def test_pages(self):
        for number in range(7):
            self.core.create_namespaced_config_map(NS, {"metadata": {"name": f"page-{number}", "labels": {"p": "1"}}})
        names, token, revisions = [], None, set()
        while True:
            page = self.core.list_namespaced_config_map(NS, limit=3, _continue=token, label_selector="p=1")
            names += [item.metadata.name for item in page.items]
            revisions.add(page.metadata.resource_version)
            token = page.metadata._continue
            if not token:
                break
            # What is made meanwhile does not show: the pages are of one revision.
            self.core.create_namespaced_config_map(NS, {"metadata": {"generateName": "page-5-", "labels": {"p": "1"}}})
        self.assertEqual(names, [f"page-{number}" for number in range(7)])
        self.assertEqual(len(revisions), 1)
        body = self.refused(400, self.core.list_namespaced_config_map, NS, limit=3, _continue="nonsense")
        self.assertIn("continue key is not valid", body["message"])
        self.core.delete_collection_namespaced_config_map(NS, label_selector="p=1")
        self.assertEqual(self.core.list_namespaced_config_map(NS, label_selector="p=1").items, [])

    def test_tokens_and_rights(self):
        """A service account's token, and what it may not do with it."""
        self.core.create_namespaced_service_account(NS, {"metadata": {"name": "robot"}})
        answer = self.core.create_namespaced_service_account_token("robot", NS, {
            "apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {"expirationSeconds": 600}})
        token = answer.status.token
        settings = client.Configuration()
        settings.host = self.api_client.configuration.host
        settings.ssl_ca_cert = self.api_client.configuration.ssl_ca_cert
        settings.api_key = {"authorization": "Bearer " + token}
        robot = client.CoreV1Api(client.ApiClient(settings))
        body = self.refused(403, robot.list_namespaced_pod, NS)
        self.assertEqual(body["message"], 'pods is forbidden: User "system:serviceaccount:default:robot" cannot list '
                         'resource "pods" in API group "" in the namespace "default"')
        self.assertEqual((body["reason"], body["details"]), ("Forbidden", {"kind": "pods"}))
        body = self.refused(403, robot.delete_namespaced_secret, "s", NS)
        self.assertEqual(body["message"], 'secrets "s" is forbidden: User "system:serviceaccount:default:robot" cannot '
                         'delete resource "secrets" in API group "" in the namespace "default"')
        self.rbac.create_namespaced_role(NS, {"metadata": {"name": "reader"}, "rules": [
            {"apiGroups": [""], "resources": ["pods"], "verbs": ["get", "list", "watch"]}]})
        self.rbac.create_namespaced_role_binding(NS, {
            "metadata": {"name": "robot-reads"},
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "reader"},
            "subjects": [{"kind": "ServiceAccount", "name": "robot", "namespace": NS}]})
        self.assertEqual(robot.list_namespaced_pod(NS).kind, "PodList")
        body = self.refused(403, client.RbacAuthorizationV1Api(robot.api_client).list_namespaced_role, NS)
        self.assertIn('roles.rbac.authorization.k8s.io is forbidden', body["message"])
        self.core.delete_namespaced_service_account("robot", NS)
        body = self.refused(401, robot.list_namespaced_pod, NS)
        self.assertEqual((body["reason"], body["message"]), ("Unauthorized", "Unauthorized"))

    def test_quota(self):
        self.core.create_namespace({"metadata": {"name": "small"}})
        wait_for("the default account", lambda: self.core.list_namespaced_service_account("small").items)
        self.core.create_namespaced_resource_quota("small", {"metadata": {"name": "few"}, "spec": {
            "hard": {"pods": "1", "configmaps": "2", "requests.cpu": "500m"}}})

        def used():
            status = self.core.read_namespaced_resource_quota("few", "small").status
            return status.used or {}

        wait_for("a counted quota", lambda: used().get("pods") == "0" and used().get("configmaps") == "1")
        body = self.refused(403, self.core.create_namespaced_pod, "small", pod("p", "sleep 1000"))
        self.assertEqual(body["message"], 'pods "p" is forbidden: failed quota: few: must specify requests.cpu for: main')
        one = pod("p", "sleep 1000")
        one["spec"]["containers"][0]["resources"] = {"requests": {"cpu": "300m"}}
        self.core.create_namespaced_pod("small", one)
        self.assertEqual((used()["pods"], used()["requests.cpu"]), ("1", "300m"))
        two = {**one, "metadata": {"name": "q"}}
        body = self.refused(403, self.core.create_namespaced_pod, "small", two)
        self.assertEqual(body["message"], 'pods "q" is forbidden: exceeded quota: few, requested: pods=1,'
                         'requests.cpu=300m, used: pods=1,requests.cpu=300m, limited: pods=1,requests.cpu=500m')
        self.core.delete_namespaced_pod("p", "small", grace_period_seconds=0)
        wait_for("a quota given back", lambda: used()["pods"] == "0" and used()["requests.cpu"] == "0")
        self.core.create_namespaced_pod("small", two)
        self.core.delete_namespace("small")

    def test_quota_among_many(self):
        """Clients that come at the same time do not get more than there is."""
        self.core.create_namespace({"metadata": {"name": "crowd"}})
        self.core.create_namespaced_resource_quota("crowd", {"metadata": {"name": "few"}, "spec": {
            "hard": {"secrets": "10"}}})
        wait_for("a counted quota", lambda: (self.core.read_namespaced_resource_quota(
            "few", "crowd").status.used or {}).get("secrets") == "0")
        refusals = []

        def create(client_number):
            core = client.CoreV1Api(config.new_client_from_config(str(self.server.data / "kubeconfig")))
            for number in range(5):
                name = f"s-{client_number}-{number}"
                try:
                    core.create_namespaced_secret("crowd", {"metadata": {"name": name}})
                except ApiException as problem:
                    refusals.append((name, json.loads(problem.body)["message"]))

        crowd = [threading.Thread(target=create, args=(number,)) for number in range(8)]
        for one in crowd:
            one.start()
        for one in crowd:
            one.join()
        self.assertEqual(len(self.core.list_namespaced_secret("crowd").items), 10)
        self.assertEqual(len(refusals), 30)
        for name, message in refusals:
            self.assertEqual(message, f'secrets "{name}" is forbidden: exceeded quota: few, requested: secrets=1, '
                             'used: secrets=10, limited: secrets=10')
        self.core.delete_namespace("crowd")

    def test_raw_and_versions(self):
        self.assertEqual(client.VersionApi(self.api_client).get_code().major, "1")
        groups = {group.name for group in client.ApisApi(self.api_client).get_api_versions().groups}
        self.assertIn("apps", groups)
        started = time.monotonic()
        self.assertIn("Deployment", [one.kind for one in self.apps.get_api_resources().resources])
        self.assertLess(time.monotonic() - started, 10)


if __name__ == "__main__":
    main(180)
