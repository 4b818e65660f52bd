"""The simulator steered through the API, as `docs/simulator.md` shows it, and what the released SDK does on its bad days."""

import os
import pathlib
import re
import subprocess

import gradient
import httpx
import pytest
from gradient import Gradient

ROOT = pathlib.Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "simulator.md").read_text(encoding="utf-8")
EVENTS = (ROOT / "docs" / "events.md").read_text(encoding="utf-8")
SHELL = re.findall(r"^```sh\n(.*?)^```$", PAGE + EVENTS, flags=re.MULTILINE | re.DOTALL)


@pytest.fixture
def dew():
    """The simulator as it was at the start, for each test."""
    headers = {"Authorization": f"Bearer {os.environ['DEW_TEST_TOKEN']}"}
    with httpx.Client(base_url=os.environ["DEW_TEST_SIMULATOR_URL"], headers=headers) as client:
        client.post("/dew/v1/reset").raise_for_status()
        yield client


def test_a_create_gets_through_two_server_errors(dew):
    storm = {"effect": {"type": "status", "status": 500}, "method": "POST", "count": 2}
    dew.post("/dew/v1/faults", json=storm).raise_for_status()
    client = Gradient(base_url=str(dew.base_url), access_token=os.environ["DEW_TEST_TOKEN"])
    client.gpu_droplets.create(name="web-1", region="nyc3", size="s-1vcpu-1gb", image="ubuntu-24-04-x64")

    asked = dew.get("/dew/v1/requests?method=POST").json()["requests"]
    assert [request["status"] for request in asked] == [500, 500, 202]


WEB = {"name": "web-1", "region": "nyc3", "size": "s-1vcpu-1gb", "image": "ubuntu-24-04-x64", "tags": ["web"]}


def ended(dew, action):
    """Looks at an action until it is over."""
    while (seen := dew.get(f"/v2/actions/{action}").json()["action"])["status"] == "in-progress":
        pass
    return seen


def made(dew, **other):
    """A Droplet's id and how its create ended."""
    answer = dew.post("/v2/droplets", json=WEB | other).json()
    return answer["droplet"]["id"], ended(dew, answer["links"]["actions"][0]["id"])["status"]


@pytest.mark.parametrize(
    ("effect", "status"),
    [
        ({"type": "status", "status": 503}, 503),
        ({"type": "too_many_requests", "retry_after": 1}, 429),
        ({"type": "pending_event"}, 422),
        ({"type": "delay", "milliseconds": 20, "real": True}, 200),
        ({"type": "drop"}, None),
    ],
)
def test_one_bad_answer_and_then_a_good_one(dew, effect, status):
    order = {"effect": effect, "method": "GET", "path": "/v2/sizes", "count": 1}
    dew.post("/dew/v1/faults", json=order).raise_for_status()
    try:
        seen = dew.get("/v2/sizes").status_code
    except httpx.RemoteProtocolError:
        seen = None
    assert (seen, dew.get("/v2/sizes").status_code) == (status, 200)


def test_a_droplet_that_someone_else_deletes_is_shown_once_more_by_a_stale_read(dew):
    droplet, _ = made(dew)
    path = f"/v2/droplets/{droplet}"
    vanish, stale = {"type": "vanish", "what": "droplet"}, {"type": "stale"}
    dew.post("/dew/v1/faults", json={"effect": stale, "path": path, "count": 1}).raise_for_status()
    assert dew.get(path).status_code == 200
    dew.post("/dew/v1/faults", json={"effect": vanish, "path": path, "count": 1}).raise_for_status()
    assert [dew.get(path).status_code, dew.get(path).status_code] == [200, 404]


def test_a_step_that_fails_ends_the_action_errored(dew):
    failing = {"type": "step_error", "action": "create", "step": "boot"}
    dew.post("/dew/v1/faults", json={"effect": failing, "tag": "web", "probability": 1, "for_seconds": 60})
    assert made(dew)[1] == "errored"
    assert made(dew, tags=[])[1] == "completed"


def test_an_hour_passes_at_once_and_delays_count_it(dew):
    dew.put("/dew/v1/delays", json={"delays": [{"type": "create", "seconds": 3600}]}).raise_for_status()
    action = dew.post("/v2/droplets", json=WEB).json()["links"]["actions"][0]["id"]
    assert dew.get(f"/v2/actions/{action}").json()["action"]["status"] == "in-progress"
    dew.put("/dew/v1/clock", json={"advance_seconds": 3600}).raise_for_status()
    assert ended(dew, action)["status"] == "completed"


def test_a_snapshot_brings_a_deleted_droplet_back(dew):
    droplet, _ = made(dew)
    dew.put("/dew/v1/snapshots/one").raise_for_status()
    assert dew.delete(f"/v2/droplets/{droplet}").status_code == 204
    dew.post("/dew/v1/snapshots/one/restore").raise_for_status()
    assert dew.get(f"/v2/droplets/{droplet}").status_code == 200


def test_what_happened_is_told_in_order(dew):
    since = dew.get("/dew/v1/events?since=0&limit=1000").json()["next"]
    droplet, _ = made(dew)
    told = dew.get("/dew/v1/events", params={"since": since, "kind": "droplet", "id": droplet}).json()["events"]
    assert [told[0]["type"], told[-1]["type"]] == ["made", "changed"]


@pytest.fixture
def client(dew):
    with Gradient(base_url=str(dew.base_url), access_token=os.environ["DEW_TEST_TOKEN"]) as client:
        yield client


def order(dew, effect, **matching):
    answer = dew.post("/dew/v1/faults", json={"effect": effect} | matching)
    assert answer.status_code == 201, answer.text


def statuses(dew, **wanted):
    return [request["status"] for request in dew.get("/dew/v1/requests", params=wanted).json()["requests"]]


def test_three_errors_in_a_row_are_one_too_many_for_the_sdk_err_10(dew, client):
    order(dew, {"type": "status", "status": 500}, count=3)
    with pytest.raises(gradient.InternalServerError) as caught:
        client.gpu_droplets.list()
    assert caught.value.response.json()["id"] == "server_error"
    assert statuses(dew, path="/v2/droplets") == [500, 500, 500]


def test_a_dropped_reply_is_asked_for_again(dew, client):
    order(dew, {"type": "drop"}, count=1)
    assert client.gpu_droplets.sizes.list().meta.total > 0
    assert statuses(dew, path="/v2/sizes") == [None, 200]


def test_a_create_whose_reply_was_dropped_is_sent_again(dew, client):
    order(dew, {"type": "drop"}, method="POST", count=1)
    made = client.gpu_droplets.create(name="web-1", region="nyc3", size="s-1vcpu-1gb", image="ubuntu-24-04-x64")
    assert made.droplet.name == "web-1"
    assert statuses(dew, method="POST") == [None, 202]


def test_the_sdk_waits_as_long_as_a_429_says_rate_3(dew, client):
    order(dew, {"type": "too_many_requests", "retry_after": 1}, count=1)
    client.gpu_droplets.sizes.list()
    refused, answered = dew.get("/dew/v1/requests?path=/v2/sizes").json()["requests"]
    assert (refused["status"], answered["status"]) == (429, 200)


@pytest.mark.parametrize("number", range(len(SHELL)))
def test_the_examples_of_the_pages_run(dew, number):
    variables = {"PATH": os.environ["PATH"], "DEW": str(dew.base_url).rstrip("/"), "TOKEN": os.environ["DEW_TEST_TOKEN"]}
    ran = subprocess.run(["sh", "-euc", SHELL[number]], env=variables, capture_output=True, text=True, timeout=60)
    assert ran.returncode == 0, ran.stderr
    dew.post("/dew/v1/reset").raise_for_status()


def test_the_page_shows_tests_that_are_run():
    (python,) = re.findall(r"^```python\n(.*?)^```$", PAGE, flags=re.MULTILINE | re.DOTALL)
    assert python in pathlib.Path(__file__).read_text(encoding="utf-8")
    (rust,) = re.findall(r"^```rust\n(.*?)^```$", PAGE, flags=re.MULTILINE | re.DOTALL)
    assert rust in (ROOT / "crates" / "dew" / "tests" / "simulator.rs").read_text(encoding="utf-8")


def test_a_create_whose_answers_fail_after_it_was_done_makes_one_droplet(dew):
    storm = {"effect": {"type": "status", "status": 502, "after_effect": True}, "method": "POST", "count": 2}
    dew.post("/dew/v1/faults", json=storm).raise_for_status()
    client = Gradient(base_url=str(dew.base_url), access_token=os.environ["DEW_TEST_TOKEN"])
    made = client.gpu_droplets.create(name="web-1", region="nyc3", size="s-1vcpu-1gb", image="ubuntu-24-04-x64")

    asked = dew.get("/dew/v1/requests?method=POST").json()["requests"]
    assert [request["status"] for request in asked] == [502, 502, 202]
    assert [droplet["id"] for droplet in dew.get("/v2/droplets?name=web-1").json()["droplets"]] == [made.droplet.id]
