"""What `gradient` has when an answer is lost on its way: one effect, though it asks again by itself (docs/once.md)."""

import http.server
import threading
import uuid

import gradient
import httpx
import pytest
from gradient import Gradient

from harness import DOCUMENTED_IMAGE, DOCUMENTED_SIZE, fresh_name

BODY = {"region": "nyc3", "size": DOCUMENTED_SIZE, "image": DOCUMENTED_IMAGE}


class Lossy:
    """A proxy that hands on every request, and loses the answers it is told to after the server has given them whole."""

    def __init__(self, url):
        self.lose = 0
        self.attempts = []
        self.upstream = httpx.Client(base_url=url, timeout=30)
        proxy = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self):
                body = self.rfile.read(int(self.headers.get("content-length", 0)))
                hop = {"host", "connection", "content-length", "accept-encoding"}
                headers = {name: value for name, value in self.headers.items() if name.lower() not in hop}
                answer = proxy.upstream.request(self.command, self.path, content=body, headers=headers)
                proxy.attempts.append(self.headers.get("x-stainless-retry-count"))
                if proxy.lose:
                    proxy.lose -= 1
                    self.close_connection = True
                    return
                self.send_response(answer.status_code)
                for name, value in answer.headers.items():
                    if name not in ("connection", "transfer-encoding"):
                        self.send_header(name, value)
                self.end_headers()
                self.wfile.write(answer.content)

            do_GET = do_DELETE = do_POST

            def log_message(self, *_):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        self.thread = threading.Thread(target=self.server.serve_forever)
        self.thread.start()

    def close(self):
        self.server.shutdown()
        self.thread.join()
        self.server.server_close()
        self.upstream.close()


@pytest.fixture
def lossy(url):
    proxy = Lossy(url)
    yield proxy
    proxy.close()


@pytest.fixture
def client(lossy, token):
    with Gradient(base_url=lossy.url, access_token=token, _strict_response_validation=True) as client:
        yield client


def named(http, name):
    """The Droplets of this name, as the server itself shows them."""
    return http.get("/v2/droplets", params={"name": name}).json()["droplets"]


@pytest.mark.parametrize("lost", [1, 2])
def test_a_create_whose_answers_are_lost_makes_one_droplet(lossy, client, http, lost):
    name = fresh_name("once")
    lossy.lose = lost
    made = client.gpu_droplets.create(name=name, **BODY)
    assert lossy.attempts == [str(number) for number in range(lost + 1)]
    assert [droplet["id"] for droplet in named(http, name)] == [made.droplet.id]
    assert made.links.actions[0].rel == "create"


def test_several_droplets_are_made_once_too(lossy, client, http):
    names = [fresh_name("once") for _ in range(3)]
    lossy.lose = 1
    made = client.gpu_droplets.create(names=names, **BODY)
    assert [droplet.name for droplet in made.droplets] == names
    assert [named(http, name)[0]["id"] for name in names] == [droplet.id for droplet in made.droplets]
    assert all(len(named(http, name)) == 1 for name in names)


def test_what_would_be_refused_the_second_time_is_told_as_made(lossy, client):
    # Without this, the retry would meet the volume that its first attempt made, and be a 409.
    lossy.lose = 1
    made = client.gpu_droplets.volumes.create(name=fresh_name("once"), region="nyc3", size_gigabytes=1)
    assert lossy.attempts == ["0", "1"]
    client.gpu_droplets.volumes.delete(made.volume.id)


def test_two_creates_of_one_body_stay_two_droplets(client, http):
    name = fresh_name("twice")
    first, second = (client.gpu_droplets.create(name=name, **BODY).droplet.id for _ in range(2))
    assert sorted(droplet["id"] for droplet in named(http, name)) == sorted([first, second])


def test_a_key_of_ones_own_outlives_the_program_that_used_it(client, url, token, http):
    name, key = fresh_name("once"), {"Idempotency-Key": str(uuid.uuid4())}
    made = client.gpu_droplets.create(name=name, extra_headers=key, **BODY)
    with Gradient(base_url=url, access_token=token) as later:
        again = later.gpu_droplets.with_raw_response.create(name=name, extra_headers=key, **BODY)
        assert again.headers["idempotent-replayed"] == "true"
        assert again.parse().droplet.id == made.droplet.id
        with pytest.raises(gradient.ConflictError) as caught:
            later.gpu_droplets.create(name=fresh_name("other"), extra_headers=key, **BODY)
    assert caught.value.response.headers["x-should-retry"] == "false"
    assert len(named(http, name)) == 1
