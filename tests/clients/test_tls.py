"""The clients over HTTPS, with the certificate that `dew serve --tls` makes for itself: trusted by the variables that the server
names when it makes it, and by nothing else. `pydo` is in test_pydo.py."""

import os
import socket
import ssl
import urllib.parse

import gradient
import httpx
import pytest
import requests
from gradient import Gradient

from harness import DOCUMENTED_IMAGE, DOCUMENTED_SIZE, eventually, fresh_name

BODY = {"region": "nyc3", "size": DOCUMENTED_SIZE, "image": DOCUMENTED_IMAGE}


def connect(url, token):
    return Gradient(base_url=url, access_token=token, max_retries=0, _strict_response_validation=True)


def test_gradient_makes_a_droplet(tls_url, token, trust):
    client = connect(tls_url, token)
    made = client.gpu_droplets.create(name=fresh_name("tls"), **BODY).droplet
    eventually(lambda: client.gpu_droplets.retrieve(made.id).droplet.status, lambda status: status == "active", "Droplet")
    other = client.gpu_droplets.create(name=fresh_name("tls"), **BODY).droplet
    page = client.gpu_droplets.list(per_page=1)
    assert page.links.pages.next.startswith(f"{tls_url}/v2/droplets?"), "links lead to where the client came from"
    for droplet in (made, other):
        client.gpu_droplets.delete(droplet.id)


def test_the_port_is_called_by_every_name_of_this_host(tls_url, token, trust):
    port = urllib.parse.urlsplit(tls_url).port
    for host in ("127.0.0.1", "localhost"):
        assert requests.get(f"https://{host}:{port}/healthz", timeout=30).status_code == 200
        assert httpx.get(f"https://{host}:{port}/healthz", timeout=30).status_code == 200


def test_who_does_not_trust_it_sends_nothing(tls_url, token):
    with pytest.raises(gradient.APIConnectionError) as caught:
        connect(tls_url, token).gpu_droplets.list()
    assert "CERTIFICATE_VERIFY_FAILED" in repr(caught.value.__cause__)
    with pytest.raises(requests.exceptions.SSLError):
        requests.get(tls_url, timeout=30)


def test_plain_http_to_the_port_is_a_400_with_words(tls_url):
    answer = httpx.get(tls_url.replace("https:", "http:") + "/v2/droplets", timeout=30)
    assert (answer.status_code, answer.json()["id"]) == (400, "bad_request")
    assert "https://" in answer.json()["message"]


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_openssl_speaks_both_versions_and_strictly(tls_url, version):
    context = ssl.create_default_context(cafile=os.environ["DEW_TEST_TLS_CERT"])
    context.verify_flags |= ssl.VERIFY_X509_STRICT
    context.minimum_version = context.maximum_version = version
    context.set_alpn_protocols(["h2", "http/1.1"])
    there = urllib.parse.urlsplit(tls_url)
    with socket.create_connection((there.hostname, there.port), timeout=30) as plain:
        with context.wrap_socket(plain, server_hostname="localhost") as stream:
            assert stream.selected_alpn_protocol() == "http/1.1"
            assert stream.version() == {ssl.TLSVersion.TLSv1_2: "TLSv1.2", ssl.TLSVersion.TLSv1_3: "TLSv1.3"}[version]


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_older_versions_are_refused(tls_url):
    context = ssl.create_default_context(cafile=os.environ["DEW_TEST_TLS_CERT"])
    # OpenSSL itself speaks them only at its lowest level.
    context.set_ciphers("ALL:@SECLEVEL=0")
    context.minimum_version = context.maximum_version = ssl.TLSVersion.TLSv1_1
    there = urllib.parse.urlsplit(tls_url)
    with socket.create_connection((there.hostname, there.port), timeout=30) as plain:
        with pytest.raises(ssl.SSLError, match="ALERT"):
            context.wrap_socket(plain, server_hostname="localhost")
