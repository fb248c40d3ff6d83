"""A plain API client over several servers, which says of each request whether it was answered."""

import base64
import http.client
import json
import ssl
import tempfile
from pathlib import Path
from urllib.parse import urlsplit


class Unanswered(Exception):
    """Nobody knows whether the request took effect."""


class Refused(Exception):
    """The server answered that it did not do it: `status` is the code, `body` the Status."""

    def __init__(self, status, body):
        super().__init__(f"{status}: {body}")
        self.status = status


class Api:
    """Speaks to the first server that answers, as the user of a kubeconfig that gantry wrote. One thread."""

    def __init__(self, servers, kubeconfig, timeout=5):
        self._servers = [urlsplit(server) for server in servers]
        self._timeout = timeout
        self._connection = None
        self._tls = ssl.create_default_context(cadata=_field(kubeconfig, "certificate-authority-data").decode())
        with tempfile.NamedTemporaryFile() as both:
            both.write(_field(kubeconfig, "client-certificate-data") + _field(kubeconfig, "client-key-data"))
            both.flush()
            self._tls.load_cert_chain(both.name)

    @property
    def server(self):
        """The address of the server that is asked next."""
        return self._servers[0].hostname

    def request(self, method, path, body=None, content_type="application/json"):
        """The answer's object. Moves on to the next server when this one does not answer."""
        try:
            if self._connection is None:
                server = self._servers[0]
                self._connection = http.client.HTTPSConnection(
                    server.hostname, server.port, timeout=self._timeout, context=self._tls)
            text = None if body is None else json.dumps(body)
            self._connection.request(method, path, text, {"Content-Type": content_type})
            response = self._connection.getresponse()
            answer = response.read()
        except (OSError, http.client.HTTPException) as problem:
            self.close()
            self._servers.append(self._servers.pop(0))
            raise Unanswered(f"{type(problem).__name__}: {problem}") from problem
        if response.status >= 500:  # the outcome is as unknown as without an answer
            self._servers.append(self._servers.pop(0))
            self.close()
            raise Unanswered(f"{response.status}: {answer.decode(errors='replace')}")
        if response.status >= 400:
            raise Refused(response.status, answer.decode(errors="replace"))
        return json.loads(answer)

    def close(self):
        if self._connection is not None:
            self._connection.close()
            self._connection = None


def _field(kubeconfig, name):
    for line in Path(kubeconfig).read_text(encoding="utf-8").splitlines():
        key, _, value = line.strip().partition(": ")
        if key.lstrip("- ") == name:
            return base64.b64decode(value.strip('"'))
    raise KeyError(name)
