"""What `gradient` makes of refusals (ERR-11), what it retries (ERR-10), and the headers it shows."""

import gradient
import httpx
import pytest
from gradient import Gradient

from harness import DOCUMENTED_IMAGE, DOCUMENTED_SIZE, fresh_name, fresh_public_key

BODY = {"region": "nyc3", "size": DOCUMENTED_SIZE, "image": DOCUMENTED_IMAGE}


class Watch(httpx.HTTPTransport):
    """The real transport, remembering what was sent; it can lose answers to see what the client does then."""

    def __init__(self, lose=0):
        super().__init__()
        self.sent = []
        self.lose = lose

    def handle_request(self, request):
        self.sent.append(request)
        answer = super().handle_request(request)
        if self.lose:
            self.lose -= 1
            answer.close()
            raise httpx.ReadError("the answer was lost", request=request)
        return answer


@pytest.fixture
def client(url, token):
    with Gradient(base_url=url, access_token=token, _strict_response_validation=True) as client:
        yield client


def watched(client, **watching):
    transport = Watch(**watching)
    return client.with_options(http_client=httpx.Client(transport=transport)), transport


def refused(error, call):
    """The body of the refusal, which must be of this class and name its request as the header does (ERR-1)."""
    with pytest.raises(error) as caught:
        call()
    body, headers = caught.value.response.json(), caught.value.response.headers
    assert body["request_id"] == headers["x-request-id"]
    assert body["message"], body
    assert headers["content-type"] == "application/json; charset=utf-8"
    assert {"ratelimit-limit", "ratelimit-remaining", "ratelimit-reset"} <= set(headers), "RATE-1"
    return body


def test_each_status_has_its_exception_err_11(client, url, http, droplet_of):
    stranger = Gradient(base_url=url, access_token="dop_v1_nobody")
    body = refused(gradient.AuthenticationError, lambda: stranger.gpu_droplets.list())
    assert (body["id"], body["message"]) == ("unauthorized", "Unable to authenticate you.")

    reader = http.post("/dew/v1/tokens", json={"name": "reader", "scopes": ["droplet:read"]}).json()["token"]
    reader = Gradient(base_url=url, access_token=reader)
    assert reader.gpu_droplets.list().meta.total >= 0
    body = refused(gradient.PermissionDeniedError, lambda: reader.gpu_droplets.create(name="a", **BODY))
    assert body["id"] == "forbidden"

    body = refused(gradient.BadRequestError, lambda: client.gpu_droplets.list(page=0))
    assert body["id"] == "bad_request"
    body = refused(gradient.NotFoundError, lambda: client.gpu_droplets.retrieve(1))
    assert body["id"] == "not_found"
    assert "The resource you were accessing could not be found." in body["message"], "ERR-4"
    body = refused(
        gradient.UnprocessableEntityError,
        lambda: client.gpu_droplets.create(name="two words", **BODY),
    )
    assert body["id"] == "unprocessable_entity"
    assert "Only valid hostname characters are allowed. (a-z, A-Z, 0-9, . and -)" in body["message"], "ERR-6"

    name = fresh_name("twice")
    volume = client.gpu_droplets.volumes.create(name=name, region="nyc3", size_gigabytes=1).volume
    again = lambda: client.gpu_droplets.volumes.create(name=name, region="nyc3", size_gigabytes=1)
    assert refused(gradient.ConflictError, again)["id"] == "conflict"
    client.gpu_droplets.volumes.delete(volume.id)


def test_too_many_requests_are_a_rate_limit_error_rate_2_to_4(limited_url, token):
    client = Gradient(base_url=limited_url, access_token=token, max_retries=0)
    list_keys = client.gpu_droplets.account.keys.with_raw_response.list
    left = [int(list_keys().headers["ratelimit-remaining"]) for _ in range(10)]
    assert left == sorted(left, reverse=True)
    with pytest.raises(gradient.RateLimitError) as caught:
        list_keys()
    assert caught.value.response.json()["message"] == "API rate limit exceeded."
    assert 0 < int(caught.value.response.headers["retry-after"]) <= 60
    assert client.gpu_droplets.sizes.list().meta.total > 0, "only the keys are used up"

    refusal = None
    for _ in range(251):
        try:
            client.regions.list()
        except gradient.RateLimitError as error:
            refusal = error.response
            break
    assert refusal is not None, "RATE-2: 250 in a minute"
    assert refusal.headers["ratelimit-remaining"] == "0" and 0 < int(refusal.headers["retry-after"]) <= 60, "RATE-3"


def test_a_refusal_that_will_not_go_away_is_asked_once_err_10(client):
    name = fresh_name("once")
    volume = client.gpu_droplets.volumes.create(name=name, region="nyc3", size_gigabytes=1).volume
    observed, transport = watched(client)
    with pytest.raises(gradient.ConflictError):
        observed.gpu_droplets.volumes.create(name=name, region="nyc3", size_gigabytes=1)
    assert len(transport.sent) == 1
    client.gpu_droplets.volumes.delete(volume.id)


def test_a_lost_answer_to_a_read_is_asked_for_again(client):
    observed, transport = watched(client, lose=1)
    assert observed.gpu_droplets.sizes.list().meta.total > 0
    assert [request.headers["x-stainless-retry-count"] for request in transport.sent] == ["0", "1"]


def test_raw_answers_show_request_id_and_limits(client):
    first = client.gpu_droplets.with_raw_response.list()
    second = client.gpu_droplets.with_raw_response.list()
    assert first.headers["x-request-id"] != second.headers["x-request-id"]
    assert int(first.headers["ratelimit-limit"]) == 5000
    assert int(first.headers["ratelimit-remaining"]) <= 5000
    assert int(first.headers["ratelimit-reset"]) > 1_600_000_000
    assert first.parse().meta.total >= 0


def test_wrong_creates_say_what_to_change_and_make_nothing_err_8(client):
    tag = fresh_name("never")
    wrong = {
        "Only valid hostname characters": {"name": "under_score"},
        "You specified an invalid image for Droplet creation.": {"image": "no-such-image"},
        "You specified an invalid region for Droplet creation.": {"region": "xyz5"},
        "Region is not available": {"region": "sfo1"},
        "Size is not available in this region.": {"size": "gpu-h100x1-80gb"},
        "are invalid key identifiers for Droplet creation.": {"ssh_keys": [289794, 1]},
        "Invalid volume allocations": {"volumes": ["12e97116-7280-11ed-b3d0-0a58ac146812"]},
        "user_data": {"user_data": "#" * (64 * 1024 + 1)},
        "vpc": {"vpc_uuid": "00000000-0000-4000-8000-000000000000"},
        "backup": {"backup_policy": {"plan": "daily", "hour": 0}},
        "hour": {"backups": True, "backup_policy": {"plan": "daily", "hour": 3}},
        "tag": {"tags": [tag, "no good"]},
        "is not supported": {"image": "rancheros", "with_droplet_agent": True},
    }
    for text, members in wrong.items():
        body = refused(
            gradient.UnprocessableEntityError,
            lambda: client.gpu_droplets.create(**({"name": tag, "tags": [tag]} | BODY | members)),
        )
        assert text in body["message"], f"{members}: {body['message']}"
    eleven = [f"{tag}-{number}" for number in range(11)]
    refused(gradient.UnprocessableEntityError, lambda: client.gpu_droplets.create(names=eleven, tags=[tag], **BODY))
    one_wrong = [f"{tag}-1", "no good"]
    refused(gradient.UnprocessableEntityError, lambda: client.gpu_droplets.create(names=one_wrong, tags=[tag], **BODY))

    assert client.gpu_droplets.list(tag_name=tag).meta.total == 0
    with pytest.raises(gradient.NotFoundError):
        client.get(f"/v2/tags/{tag}", cast_to=object)


def test_actions_in_the_wrong_state_say_so_err_5(client, droplet_of):
    droplet = droplet_of()["id"]
    act = lambda **wanted: (lambda: client.gpu_droplets.actions.initiate(droplet, **wanted))
    body = refused(gradient.UnprocessableEntityError, act(type="power_on"))
    assert "Droplet is already powered on" in body["message"]
    refused(gradient.UnprocessableEntityError, act(type="rename"))
    refused(gradient.UnprocessableEntityError, act(type="rename", name="two words"))
    refused(gradient.UnprocessableEntityError, act(type="explode"))
    refused(gradient.NotFoundError, lambda: client.gpu_droplets.actions.initiate(1, type="power_off"))
    refused(gradient.UnprocessableEntityError, lambda: client.gpu_droplets.actions.bulk_initiate(type="power_off"))


def test_keys_that_are_none_or_there_already_are_refused_key_1(client):
    keys, public = client.gpu_droplets.account.keys, fresh_public_key()
    made = keys.create(name="first", public_key=public).ssh_key
    body = refused(gradient.UnprocessableEntityError, lambda: keys.create(name="second", public_key=public))
    assert "SSH Key is already in use on your account" in body["message"], "ERR-6"
    refused(gradient.UnprocessableEntityError, lambda: keys.create(name="none", public_key="ssh-rsa nonsense"))
    keys.delete(made.id)
    refused(gradient.NotFoundError, lambda: keys.delete(made.id))
