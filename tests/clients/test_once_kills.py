"""What clients have when the server is killed in the middle of a create, and is there again when they ask again by themselves.

Each test has a server of its own, and a proxy before it that stays where it is when the server is another process.
"""

import http.server
import os
import pathlib
import re
import socket
import subprocess
import threading
import urllib.parse
import uuid

import httpx
import pytest
from gradient import Gradient

from harness import DOCUMENTED_IMAGE, DOCUMENTED_SIZE, eventually

BODY = {"region": "nyc3", "size": DOCUMENTED_SIZE, "image": DOCUMENTED_IMAGE}


class Killed:
    """`dew serve` behind a proxy, killed at the moment asked for of the next POST, and started again on what it left."""

    def __init__(self, directory, token):
        self.directory, self.token, self.moment, self.starts = directory, token, None, 0
        self.start()
        killed = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self):
                body = self.rfile.read(int(self.headers.get("content-length", 0)))
                head = [f"{self.command} {self.path} HTTP/1.1", "connection: close"]
                head += [f"{name}: {value}" for name, value in self.headers.items() if name.lower() != "connection"]
                request = "\r\n".join(head).encode() + b"\r\n\r\n" + body
                answer = killed.pass_on(request) if self.command == "POST" else killed.ask(request)
                self.close_connection = True
                if answer:
                    self.wfile.write(answer)

            do_GET = do_POST

            def log_message(self, *_):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        self.thread = threading.Thread(target=self.server.serve_forever)
        self.thread.start()

    def start(self):
        self.starts += 1
        log = self.directory / f"{self.starts}.log"
        command = [os.environ["DEW_BINARY"], "serve", "--engine", "sim", "--fixtures", "docs", "--listen", "127.0.0.1:0"]
        command += ["--data-dir", self.directory / "data"]
        with open(log, "wb") as file:
            environment = {"DEW_BOOTSTRAP_TOKEN": self.token}
            self.process = subprocess.Popen(command, stderr=file, env=environment)
        found = eventually(
            lambda: re.search(r"Serving on http://([0-9.]+):([0-9]+)", log.read_text(errors="replace")),
            lambda found: found or self.process.poll() is not None,
            "server",
        )
        assert found, log.read_text(errors="replace")
        self.address = (found[1], int(found[2]))

    def kill(self):
        self.process.kill()
        self.process.wait()
        self.start()

    def ask(self, request, moment=None):
        """Sends a request and answers all that comes, killing the server if the moment is when the request is sent."""
        with socket.create_connection(self.address, timeout=20) as connection:
            connection.sendall(request)
            if moment == "sent":
                self.process.kill()
                self.process.wait()
            parts = []
            try:
                while part := connection.recv(65536):
                    parts.append(part)
            except ConnectionResetError:
                pass
            return b"".join(parts)

    def pass_on(self, request):
        """What the client gets for a POST: nothing, if the server is killed at it."""
        moment, self.moment = self.moment, None
        if moment is None:
            return self.ask(request)
        if moment != "unsent":
            self.ask(request, moment)
        self.kill()
        return None

    def close(self):
        self.server.shutdown()
        self.thread.join()
        self.server.server_close()
        self.process.kill()
        self.process.wait()


@pytest.fixture
def killed(tmp_path, token):
    server = Killed(pathlib.Path(tmp_path), token)
    yield server
    server.close()


def ids(killed, name):
    """The numbers of the Droplets of this name."""
    headers = {"Authorization": f"Bearer {killed.token}"}
    answer = httpx.get(f"{killed.url}/v2/droplets?{urllib.parse.urlencode({'name': name})}", headers=headers, timeout=30)
    return [droplet["id"] for droplet in answer.json()["droplets"]]


@pytest.mark.parametrize("with_key", [False, True])
@pytest.mark.parametrize("moment", ["unsent", "sent", "answered"])
def test_the_sdk_has_one_droplet_whenever_the_server_is_killed(killed, moment, with_key):
    headers = {"Idempotency-Key": str(uuid.uuid4())} if with_key else {}
    with Gradient(base_url=killed.url, access_token=killed.token, _strict_response_validation=True) as client:
        killed.moment = moment
        made = client.gpu_droplets.create(name="web-1", extra_headers=headers, **BODY)
    assert killed.starts == 2
    assert ids(killed, "web-1") == [made.droplet.id]


@pytest.mark.parametrize("moment", ["unsent", "sent", "answered"])
def test_a_client_that_says_nothing_has_two_only_if_the_answer_had_been_given(killed, moment):
    # As godo: the same request again when the connection broke, with nothing that says so.
    headers = {"Authorization": f"Bearer {killed.token}"}
    killed.moment = moment
    with pytest.raises((httpx.RemoteProtocolError, httpx.ReadError)):
        httpx.post(f"{killed.url}/v2/droplets", json={"name": "web-1", **BODY}, headers=headers, timeout=30)
    answer = httpx.post(f"{killed.url}/v2/droplets", json={"name": "web-1", **BODY}, headers=headers, timeout=30)
    made = ids(killed, "web-1")
    assert answer.json()["droplet"]["id"] in made
    if moment == "answered":
        # The server had handed it over; that it was lost behind it, nobody told it (docs/once.md).
        assert len(made) == 2
    else:
        # Whether it was answered before it was killed, the file beside it knows.
        told = (killed.directory / "data" / "told").read_bytes()[64:]
        given = sum(any(told[at : at + 8]) for at in range(0, len(told), 8))
        assert len(made) == given
