"""What every test of the clients starts from: a running server, told by environment variables.

`scripts/test-clients.sh` starts the servers and sets:

- DEW_TEST_URL: a server with `--engine sim --fixtures docs` and no limits; DEW_TEST_NAMES: the address of its name server;
- DEW_TEST_LIMITED_URL: another one with `--limits digitalocean`;
- DEW_TEST_SIMULATOR_URL: a third one, whose clock, faults and state belong to the tests of these alone;
- DEW_TEST_TLS_URL: a fourth one like the first, with `--tls`; DEW_TEST_TLS_CERT: the certificate that it made for itself;
- DEW_TEST_HOSTILE_URL: a fifth one, for requests that nobody means well with;
- DEW_TEST_UPSTREAM: where a test may listen on a Unix socket to be the upstream of the first one's model `by-socket`;
- DEW_TEST_TOKEN: the admin token of all of them.

Tests share the server, so each makes what it needs under names of its own and looks at nothing else.
"""

import os
import ssl

import aiohttp.connector
import httpx
import pytest

from harness import DOCUMENTED_SIZE, DOCUMENTED_IMAGE, finish, fresh_name

SETTINGS = (
    "DEW_TEST_URL", "DEW_TEST_LIMITED_URL", "DEW_TEST_SIMULATOR_URL", "DEW_TEST_TLS_URL", "DEW_TEST_TLS_CERT",
    "DEW_TEST_HOSTILE_URL", "DEW_TEST_NAMES", "DEW_TEST_UPSTREAM", "DEW_TEST_TOKEN",
)


def pytest_sessionstart(session):
    missing = [name for name in SETTINGS if not os.environ.get(name)]
    if missing:
        pytest.exit(f"{', '.join(missing)} not set: run scripts/test-clients.sh, which starts the servers", returncode=2)


@pytest.fixture(scope="session")
def url():
    """The server's address, without a path."""
    return os.environ["DEW_TEST_URL"]


@pytest.fixture(scope="session")
def limited_url():
    """The address of the server with the real service's request limits."""
    return os.environ["DEW_TEST_LIMITED_URL"]


@pytest.fixture(scope="session")
def tls_url():
    """The address of the server that speaks HTTPS."""
    return os.environ["DEW_TEST_TLS_URL"]


@pytest.fixture
def trust(monkeypatch):
    """Trusts that server's certificate as its documents say: by the variables that Python's clients read."""
    for name in ("SSL_CERT_FILE", "REQUESTS_CA_BUNDLE"):
        monkeypatch.setenv(name, os.environ["DEW_TEST_TLS_CERT"])
    # aiohttp trusts what these said when it was imported; a program's environment is there before that, a test's is not.
    monkeypatch.setattr(aiohttp.connector, "_SSL_CONTEXT_VERIFIED", ssl.create_default_context())


@pytest.fixture(scope="session")
def token():
    """A token with every scope, good on every server."""
    return os.environ["DEW_TEST_TOKEN"]


@pytest.fixture
def http(url, token):
    """Plain HTTP with the token, for what no client shows and for requests exactly as godo writes them."""
    with httpx.Client(base_url=url, headers={"Authorization": f"Bearer {token}"}, timeout=30) as client:
        yield client


@pytest.fixture
def droplet_of(http):
    """Makes Droplets over plain HTTP, waits for each, and deletes them after the test.

    Called with any members of the create's body; answers the Droplet as `GET` shows it.
    """
    made = []

    def create(**wanted):
        body = {"name": fresh_name("box"), "region": "nyc3", "size": DOCUMENTED_SIZE, "image": DOCUMENTED_IMAGE}
        answer = http.post("/v2/droplets", json=body | wanted)
        assert answer.status_code == 202, answer.text
        identity = answer.json()["droplet"]["id"]
        made.append(identity)
        finish(http, answer.json()["links"]["actions"][0]["id"])
        return http.get(f"/v2/droplets/{identity}").json()["droplet"]

    yield create
    for identity in made:
        assert http.delete(f"/v2/droplets/{identity}").status_code in (204, 404)
