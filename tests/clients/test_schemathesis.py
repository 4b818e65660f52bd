"""Requests that schemathesis makes up from the description, valid and invalid ones, and what every answer has to be like.

Each operation gets the description's edge cases and a number of random cases from a fixed seed, so that one run is like the
next. DEW_SCHEMA_EXAMPLES and DEW_SCHEMA_SEED set others: `make schemas` runs longer. Most cases name objects there are: a state
is made once, kept by the simulator, and put back after every case that changed something.

The server is one of its own (DEW_TEST_HOSTILE_URL), since these requests delete whatever they can.
"""

import os
import re
import zlib
from collections import Counter

import httpx
import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, settings
from jsonschema import ValidationError
from schemathesis import GenerationMode, checks
from schemathesis.core.failures import FailureGroup
from schemathesis.core.parameters import ParameterLocation
from schemathesis.specs.openapi import checks as openapi

import served
from harness import DOCUMENTED_IMAGE, DOCUMENTED_KEY, DOCUMENTED_SIZE, DOCUMENTED_VPC, finish
from tolerated import TOLERATED

SEED = int(os.environ.get("DEW_SCHEMA_SEED") or 20261122)
EXAMPLES = int(os.environ.get("DEW_SCHEMA_EXAMPLES") or 8)
URL = os.environ.get("DEW_TEST_HOSTILE_URL", "")
TOKEN = os.environ.get("DEW_TEST_TOKEN", "")
MODEL = "dewpoint-scripted"
ASKS_MODELS = ("/v1/chat/completions", "/v1/embeddings")
KEPT = "/dew/v1/snapshots/whole"


def streams_are_as_described(ctx, answer, case):
    """Each event of a stream, which the description's schema is about; schemathesis would hold it against all of an event."""
    if answer.headers.get("content-type", [""])[0].startswith("text/event-stream"):
        try:
            served.stream_is_valid(case.path, case.method, answer.content.decode())
        except ValidationError as error:
            raise AssertionError(f"an event at {error.json_path}: {error.message}") from None


# Left out: that what is described as valid is taken (an unknown size or a taken name is refused), and what other tests
# look at for every operation (tokens: auth_matrix.rs; after a delete: the tests of each resource).
CHECKS = [
    checks.not_a_server_error,
    openapi.status_code_conformance,
    openapi.content_type_conformance,
    openapi.response_headers_conformance,
    openapi.response_schema_conformance,
    openapi.negative_data_rejection,
    openapi.missing_required_header,
    openapi.unsupported_method,
    openapi.allow_header_conformance,
    streams_are_as_described,
]

SCHEMA = schemathesis.openapi.from_dict(
    served.description(),
    config=schemathesis.Config.from_dict({
        "seed": SEED,
        "generation": {"max-examples": EXAMPLES, "with-security-parameters": False, "database": "none"},
    }),
)
SCHEMA.config.update(base_url=URL)


class World:
    """The server with objects of every kind in it, and what was seen of it."""

    def __init__(self, http):
        self.http = http
        self.objects = {}
        self.answers = Counter()
        self.modes = Counter()
        self.operations = set()
        self.used = set()
        self.key = ""
        self.furnish()
        http.put(KEPT).raise_for_status()

    def furnish(self):
        """Makes what path parameters can name."""
        http = self.http
        body = {"region": "nyc3", "size": DOCUMENTED_SIZE, "image": DOCUMENTED_IMAGE}
        made = http.post("/v2/droplets", json=body | {"names": ["web-1", "web-2"], "tags": ["prod"], "backups": True, "ipv6": True})
        for action in made.json()["links"]["actions"]:
            finish(http, action["id"])
        droplets = [droplet["id"] for droplet in made.json()["droplets"]]
        taken = http.post(f"/v2/droplets/{droplets[0]}/actions", json={"type": "snapshot", "name": "before"}).json()["action"]["id"]
        finish(http, taken)
        image = http.get(f"/v2/droplets/{droplets[0]}").json()["droplet"]["snapshot_ids"][0]
        moved = http.post(f"/v2/images/{image}/actions", json={"type": "transfer", "region": "lon1"}).json()["id"]
        finish(http, moved)
        volume = http.post("/v2/volumes", json={"name": "data", "region": "nyc3", "size_gigabytes": 1}).json()["volume"]["id"]
        snapshot = http.post(f"/v2/volumes/{volume}/snapshots", json={"name": "before"}).json()["snapshot"]["id"]
        kept = http.get(f"/v2/volumes/{volume}/actions").json()["actions"][0]["id"]
        finish(http, kept)
        project = http.post("/v2/projects", json={"name": "shop", "purpose": "IoT"}).json()["project"]["id"]
        domain = http.post("/v2/domains", json={"name": "example.com"}).json()["domain"]["name"]
        record = {"type": "A", "name": "www", "data": "192.0.2.1"}
        record = http.post(f"/v2/domains/{domain}/records", json=record).json()["domain_record"]["id"]
        ip = http.post("/v2/reserved_ips", json={"droplet_id": droplets[0]}).json()
        led = ip["links"]["actions"][0]["id"]
        finish(http, led)
        ip = ip["reserved_ip"]["ip"]
        ipv6 = http.post("/v2/reserved_ipv6", json={"region_slug": "nyc3"}).json()["reserved_ipv6"]["ip"]
        inner = http.post("/v2/vpcs", json={"name": "inner", "region": "nyc3"}).json()["vpc"]["id"]
        peering = http.post("/v2/vpc_peerings", json={"name": "inner", "vpc_ids": [inner, DOCUMENTED_VPC]}).json()["vpc_peering"]["id"]
        rule = {"protocol": "tcp", "ports": "22", "sources": {"addresses": ["::/0"], "droplet_ids": droplets[:1], "tags": ["prod"]}}
        wall = {"name": "wall", "inbound_rules": [rule], "droplet_ids": droplets, "tags": ["prod"]}
        firewall = http.post("/v2/firewalls", json=wall).json()["firewall"]["id"]
        key = http.post("/v2/gen-ai/models/api_keys", json={"name": "bot"}).json()["api_key_info"]
        self.key = key["secret_key"]
        self.objects = {
            "api_key_uuid": [key["uuid"]],
            "vpc_peering_id": [peering], "reserved_ip": [ip], "floating_ip": [ip], "reserved_ipv6": [ipv6], "reserved_ips/action_id": [led],
            "floating_ips/action_id": [led],
            "firewall_id": [firewall],
            "domain_name": [domain], "domain_record_id": [record],
            "droplet_id": droplets, "image_id": [image, DOCUMENTED_IMAGE], "volume_id": [volume], "project_id": [project],
            "snapshot_id": [snapshot, image], "volumes/snapshot_id": [snapshot], "ssh_key_identifier": list(DOCUMENTED_KEY),
            "tag_id": ["prod"], "vpc_id": [DOCUMENTED_VPC], "action_id": [taken, moved, kept], "droplets/action_id": [taken],
            "images/action_id": [moved], "volumes/action_id": [kept],
        }

    def object_of(self, path, name, pick):
        """An object for a path parameter, of the collection that the path begins with where that matters."""
        collection = path.split("/")[2]
        several = self.objects.get(f"{collection}/{name}") or self.objects[name]
        return several[pick % len(several)]

    def aim(self, case):
        """Lets three of four cases, chosen by what is in them, name what there is, unless the name is what is wrong with it."""
        pick, places = zlib.crc32(repr(case).encode()), case.meta.components
        path = places.get(ParameterLocation.PATH)
        if case.path_parameters and pick % 4 and (path is None or path.mode is GenerationMode.POSITIVE):
            for name in list(case.path_parameters):
                case.path_parameters[name] = self.object_of(case.path, name, pick // 4)
        # Whatever is wrong with a body that names a model with a text, it is not that text.
        if case.path in ASKS_MODELS and pick % 4 and isinstance(case.body, dict) and isinstance(case.body.get("model"), str):
            case.body["model"] = MODEL

    def headers(self, case):
        """Who asks: for models a model access key is as good as a token with every scope."""
        by_key = case.path.startswith("/v1/") and zlib.crc32(repr(case).encode()) % 2
        return {"Authorization": f"Bearer {self.key if by_key else TOKEN}"}

    def put_back(self):
        self.http.post(f"{KEPT}/restore").raise_for_status()


@pytest.fixture(scope="module")
def world():
    with httpx.Client(base_url=URL, headers={"Authorization": f"Bearer {TOKEN}"}, timeout=30) as http:
        yield World(http)


@SCHEMA.parametrize()
@settings(
    max_examples=EXAMPLES, database=None, deadline=None, phases=[Phase.explicit, Phase.generate],
    suppress_health_check=list(HealthCheck),
)
def test_every_answer_is_as_described(case, world):
    world.aim(case)
    answer = case.call(headers=world.headers(case))
    world.operations.add(case.operation.label)
    world.answers[answer.status_code] += 1
    world.modes[case.meta.generation.mode.value] += 1
    try:
        case.validate_response(answer, checks=CHECKS)
    except FailureGroup as failures:
        unexplained = [failure for failure in failures.exceptions if not explained(world, case, answer, failure)]
        if unexplained:
            again = f"seed {SEED}, {EXAMPLES} examples an operation: {case.as_curl_command()}\n"
            raise AssertionError(again + "\n".join(f"{one.title}: {one.message}" for one in unexplained)) from None
    finally:
        if case.method not in ("GET", "HEAD", "OPTIONS") and answer.status_code < 300:
            world.put_back()


def explained(world, case, answer, failure):
    for one in TOLERATED:
        if one.explains(case, answer, failure):
            world.used.add(one)
            return True
    return False


def test_the_cases_were_many_and_of_every_kind(world, record_property):
    if world.operations != {operation.ok().label for operation in SCHEMA.get_all_operations()}:
        pytest.skip("not every operation was asked in this run, so nothing can be said of them all")
    print(f"\nschemathesis, seed {SEED}: {world.answers.total()} requests to {len(world.operations)} operations, "
          f"{dict(world.modes)}, answered {dict(sorted(world.answers.items()))}")
    assert min(world.modes["positive"], world.modes["negative"]) > 500
    assert min(world.answers[status] for status in (200, 202, 204, 400, 404, 405, 422)) > 10
    unused = [f"{one.rule}: {one.why}" for one in TOLERATED if one not in world.used]
    assert not unused, f"nothing is tolerated for these any more: {unused}"


def test_the_judge_is_the_public_description():
    if not served.IS_PUBLIC:
        pytest.skip(f"schemathesis judged by the server's own document, not by the public one: {served.WHY_NOT_PUBLIC}")


def is_path_of(operation, path):
    return re.fullmatch(re.sub(r"\{[^}]+\}", "[^/]+", operation["path"]), path)


def test_an_operation_that_is_not_served_is_a_404_or_a_405_with_the_one_shape_of_errors(world):
    asked, listed = 0, served.operations()
    for operation in listed:
        if operation["status"] != "not yet":
            continue
        path = re.sub(r"\{[^}]+\}", "7", operation["path"])
        answer = world.http.request(operation["method"], path, json={})
        # 405 where its path is also that of operations served, such as one Droplet called "autoscale".
        methods = {other["method"] for other in listed if other["status"] != "not yet" and is_path_of(other, path)}
        other_methods = methods and operation["method"] not in methods
        assert answer.status_code == (405 if other_methods else 404), f"{operation['id']}: {answer.text}"
        error = answer.json()
        assert error["id"] == ("method_not_allowed" if other_methods else "not_found"), operation["id"]
        assert error["message"] and error["request_id"] == answer.headers["x-request-id"], operation["id"]
        asked += 1
    assert asked, "everything is served: this test has done its work and can go"
