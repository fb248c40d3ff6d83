"""Network policies as their users write them: the well-known recipes, with real pods and kubectl."""

from cluster import GANTRY, ClusterTest, main, pod, wait_for

SERVE = "mkdir /w; echo page > /w/index.html; exec httpd -f -p 8080 -h /w"
NAMESPACES = """
apiVersion: v1
kind: Namespace
metadata: {name: prod, labels: {purpose: production}}
---
apiVersion: v1
kind: Namespace
metadata: {name: dev, labels: {purpose: development}}
---
apiVersion: v1
kind: Service
metadata: {name: web}
spec: {selector: {app: web}, ports: [{port: 80, targetPort: http}]}
---
"""
# The kubelet's probe comes from the node, which no policy keeps out.
PROBED = """ports: [{name: http, containerPort: 8080}]
readinessProbe: {httpGet: {port: http}, periodSeconds: 1}"""
REST = "trap exit TERM; while :; do sleep 1; done"

DNS = """  egress:
  - to:
    - namespaceSelector: {matchLabels: {kubernetes.io/metadata.name: kube-system}}
      podSelector: {matchLabels: {k8s-app: kube-dns}}
    ports: [{protocol: UDP, port: 53}, {protocol: TCP, port: 53}]
"""


def policy(name, selector, types, rules=""):
    return (f"apiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\nmetadata: {{name: {name}}}\nspec:\n"
            f"  podSelector: {selector}\n  policyTypes: [{types}]\n{rules}---\n")


class PolicyTest(ClusterTest):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.server.apply(NAMESPACES + pod("web", SERVE, container=PROBED) + pod("other", SERVE, container=PROBED) +
                         pod("client", REST))
        for namespace in ("prod", "dev"):
            cls.kubectl("apply", "-n", namespace, "-f", "-", text_in=pod("client", REST))
        cls.out("wait", "pod", "--all", "-A", "--for=condition=Ready", "--timeout=60s")
        cls.ip = {name: cls.server.get("pod", name, "{.status.podIP}") for name in ("web", "other")}
        cls.service = cls.server.get("service", "web", "{.spec.clusterIP}")

    def tearDown(self):
        self.kubectl("delete", "networkpolicy", "--all", "--wait=false")

    def fetch(self, address, namespace="default"):
        # Debian's busybox wget crashes with a time limit of its own.
        done = self.kubectl("exec", "-n", namespace, "client", "--", "timeout", "1", "wget", "-qO-", f"http://{address}/",
                            check=False)
        return done.stdout.strip() == "page"

    def passes(self, address, namespace="default"):
        wait_for(f"a way from {namespace} to {address}", lambda: self.fetch(address, namespace))

    def blocked(self, address, namespace="default"):
        wait_for(f"no way from {namespace} to {address}", lambda: not self.fetch(address, namespace))

    def test_deny_all_then_a_namespace(self):
        self.passes(self.service)
        self.server.apply(policy("deny", "{}", "Ingress"))
        for address in (self.service, self.ip["web"] + ":8080"):
            self.blocked(address)
            self.blocked(address, "prod")
        self.server.apply(policy("production", "{matchLabels: {app: web}}", "Ingress", """  ingress:
  - from: [{namespaceSelector: {matchLabels: {purpose: production}}}]
"""))
        self.passes(self.service, "prod")
        self.blocked(self.service, "dev")
        self.blocked(self.service)
        # A namespace that gets the label gets in; what runs stays ready: its probes come from the node.
        self.out("label", "namespace", "dev", "purpose=production", "--overwrite")
        self.passes(self.service, "dev")
        self.out("label", "namespace", "dev", "purpose=development", "--overwrite")
        self.blocked(self.service, "dev")
        self.assertEqual(self.server.get("pod", "web", '{.status.conditions[?(@.type=="Ready")].status}'), "True")

    def test_a_port_by_its_name(self):
        self.server.apply(policy("named", "{matchLabels: {app: web}}", "Ingress",
                                 "  ingress: [{ports: [{port: nosuch}]}]\n"))
        self.blocked(self.service)
        self.server.apply(policy("named", "{matchLabels: {app: web}}", "Ingress",
                                 "  ingress: [{ports: [{port: http}]}]\n"))
        self.passes(self.service)

    def test_egress_except(self):
        self.server.apply(policy("except", "{matchLabels: {app: client}}", "Egress", f"""  egress:
  - to: [{{ipBlock: {{cidr: 0.0.0.0/0, except: [{self.ip["web"]}/32]}}}}]
"""))
        self.blocked(self.ip["web"] + ":8080")
        self.blocked(self.service)  # the endpoint counts, not the service
        self.passes(self.ip["other"] + ":8080")

    def test_dns_only(self):
        def resolves():
            return self.kubectl("exec", "client", "--", "timeout", "2", "nslookup", "web.default.svc.cluster.local",
                                check=False).returncode == 0

        self.server.apply(policy("egress", "{matchLabels: {app: client}}", "Egress"))
        wait_for("no names", lambda: not resolves())
        self.server.apply(policy("egress", "{matchLabels: {app: client}}", "Egress", DNS))
        wait_for("names", resolves)
        self.blocked(self.ip["web"] + ":8080")

    def test_what_is_shown(self):
        self.server.apply(policy("shown", "{matchLabels: {app: web}}", "Ingress, Egress", """  ingress:
  - from: [{ipBlock: {cidr: 10.0.0.0/8, except: [10.1.0.0/16]}}, {podSelector: {}, namespaceSelector: {}}]
    ports: [{port: http}, {port: 8000, endPort: 9000}]
""" + DNS))
        ours = self.machine.run(GANTRY, "describe", "networkpolicy", "shown", env=self.server.environment())
        theirs = self.kubectl("describe", "networkpolicy", "shown")
        self.assertEqual(ours.stdout, theirs.stdout)
        why = self.machine.run(GANTRY, "why", "service/web", env=self.server.environment()).stdout
        self.assertIn("networkpolicy shown selects 1 of its pods, and has 1 ingress rule", why)

    def test_zz_after_a_crash(self):
        self.server.apply(policy("deny", "{matchLabels: {app: web}}", "Ingress", """  ingress:
  - from: [{podSelector: {matchLabels: {app: nobody}}}]
"""))
        self.blocked(self.service)
        self.server.kill()
        self.server.start()
        for _ in range(3):
            self.assertFalse(self.fetch(self.ip["web"] + ":8080"))
        self.kubectl("delete", "networkpolicy", "deny")
        self.passes(self.service)


if __name__ == "__main__":
    main(90)
