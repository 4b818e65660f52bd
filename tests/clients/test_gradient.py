"""`gradient` 3.12.2 with strict response validation, over every method whose operation is served.

Strict: a member of another type, a word outside an enumeration or a missing required member fails the call. The client
has no paging of its own; following the links is the caller's part and so the tests'.
"""

import contextlib
from urllib.parse import parse_qs, urlsplit

import gradient
import pytest
from gradient import Gradient

from harness import (
    DOCUMENTED_IMAGE, DOCUMENTED_KEY, DOCUMENTED_SIZE, DOCUMENTED_VPC, GPU_IMAGE, GPU_SIZE,
    eventually, fresh_name, fresh_public_key, undeclared,
)

# Members of the real service that this client's classes do not know: sent on purpose (behaviour section 17, SIZ-1).
KNOWN_EXTRAS = {"networking_throughput", "gpu_partition_mode", "supported_partition_modes"}
# Its class for links knows those ahead or those behind; a page in the middle has both (PAG-4).
KNOWN_EXTRAS |= {"first", "prev", "next", "last"}


@pytest.fixture
def client(monkeypatch, url, token):
    """The client as it comes from two environment variables, and strict."""
    monkeypatch.setenv("GRADIENT_BASE_URL", url)
    monkeypatch.setenv("DIGITALOCEAN_ACCESS_TOKEN", token)
    with Gradient(_strict_response_validation=True) as client:
        yield client


def checked(answer):
    """The answer, when it holds nothing that the client's classes do not declare."""
    unknown = {place for place in undeclared(answer) if place.rpartition(".")[2] not in KNOWN_EXTRAS}
    assert not unknown, f"members no released client knows: {sorted(unknown)}"
    return answer


def every_page(listing, **filters):
    """All pages of a collection, by the links alone, as a list of answers."""
    answers = [checked(listing(**filters))]
    while answers[-1].links and answers[-1].links.pages and (following := getattr(answers[-1].links.pages, "next", None)):
        query = {name: values[0] for name, values in parse_qs(urlsplit(following).query).items()}
        numbers = {name: int(query[name]) for name in ("page", "per_page") if name in query}
        answers.append(checked(listing(**(query | numbers))))
        assert len(answers) < 100, "the links lead in a circle"
    return answers


@pytest.fixture
def one(client):
    """A Droplet made through the client, active, and deleted after the test."""
    body = {"region": "nyc3", "size": DOCUMENTED_SIZE, "image": DOCUMENTED_IMAGE}
    droplet = checked(client.gpu_droplets.create(name=fresh_name("one"), **body)).droplet
    yield active(client, droplet.id)
    with contextlib.suppress(gradient.NotFoundError):
        client.gpu_droplets.delete(droplet.id)


def active(client, identity):
    return eventually(
        lambda: checked(client.gpu_droplets.retrieve(identity)).droplet,
        lambda droplet: droplet.status == "active" and not droplet.locked,
        "active Droplet",
    )


def act(client, droplet, kind, **members):
    """Asks for an action and waits for its end, looking at it as the client does."""
    action = checked(client.gpu_droplets.actions.initiate(droplet, type=kind, **members)).action
    assert (action.type, action.resource_id, action.resource_type) == (kind, droplet, "droplet")
    done = eventually(
        lambda: checked(client.gpu_droplets.actions.retrieve(action.id, droplet_id=droplet)).action,
        lambda action: action.status != "in-progress",
        f"end of {kind}",
    )
    assert done.status == "completed" and done.completed_at is not None, done
    return done


# Droplets


def test_one_droplet_with_everything_a_create_can_say(client):
    volume = client.gpu_droplets.volumes.create(name=fresh_name("disk"), region="nyc3", size_gigabytes=1).volume
    created = checked(client.gpu_droplets.create(
        name=fresh_name("all"), region="nyc3", size=DOCUMENTED_SIZE, image=DOCUMENTED_IMAGE, ssh_keys=list(DOCUMENTED_KEY),
        backups=True, backup_policy={"plan": "weekly", "weekday": "SUN", "hour": 4}, ipv6=True, monitoring=True,
        private_networking=True, tags=[fresh_name("tag")], user_data="#!/bin/sh\ntrue\n", volumes=[volume.id],
        vpc_uuid=DOCUMENTED_VPC, with_droplet_agent=False,
    ))
    assert created.links.actions[0].href.endswith(f"/v2/actions/{created.links.actions[0].id}")

    droplet = active(client, created.droplet.id)
    assert droplet.volume_ids == [volume.id] and droplet.vpc_uuid == DOCUMENTED_VPC
    policy = checked(client.gpu_droplets.backups.retrieve_policy(droplet.id)).policy
    assert (policy.backup_policy.plan, policy.backup_policy.weekday, policy.backup_policy.hour) == ("weekly", "SUN", 4)

    client.gpu_droplets.delete(droplet.id)
    assert checked(client.gpu_droplets.volumes.retrieve(volume.id)).volume.droplet_ids == []
    client.gpu_droplets.volumes.delete(volume.id)


def test_many_droplets_by_names_and_their_end_by_tag(client):
    tag, names = fresh_name("herd"), [fresh_name("herd") for _ in range(10)]
    created = checked(client.gpu_droplets.create(
        names=names, region="nyc3", size=DOCUMENTED_SIZE, image=DOCUMENTED_IMAGE, tags=[tag],
    ))
    assert [droplet.name for droplet in created.droplets] == names
    assert len({action.id for action in created.links.actions}) == 10

    for droplet in created.droplets:
        active(client, droplet.id)
    assert checked(client.gpu_droplets.list(tag_name=tag)).meta.total == 10
    client.gpu_droplets.delete_by_tag(tag_name=tag)
    assert checked(client.gpu_droplets.list(tag_name=tag)).meta.total == 0


def test_a_gpu_droplet_is_only_in_the_list_of_gpu_droplets_dro_5(client):
    name = fresh_name("gpu")
    created = checked(client.gpu_droplets.create(name=name, region="nyc2", size=GPU_SIZE, image=GPU_IMAGE)).droplet
    droplet = active(client, created.id)
    assert droplet.gpu_info.count == 1 and {disk.type for disk in droplet.disk_info} == {"local", "scratch"}

    assert [one.id for one in checked(client.gpu_droplets.list(type="gpus", name=name)).droplets] == [droplet.id]
    assert checked(client.gpu_droplets.list(type="droplets", name=name)).droplets == []
    assert checked(client.gpu_droplets.list(name=name)).droplets == []
    client.gpu_droplets.delete(droplet.id)


def test_lists_filter_by_name_without_case_and_by_tag(client, droplet_of):
    tag = fresh_name("filter")
    first, second = droplet_of(tags=[tag]), droplet_of(tags=[tag])
    found = checked(client.gpu_droplets.list(name=first["name"].upper()))
    assert [droplet.id for droplet in found.droplets] == [first["id"]]
    found = checked(client.gpu_droplets.list(tag_name=tag))
    assert {droplet.id for droplet in found.droplets} == {first["id"], second["id"]}


def test_pages_follow_each_other_and_keep_the_filter_pag_4(client):
    tag = fresh_name("pages")
    body = {"region": "nyc3", "size": DOCUMENTED_SIZE, "image": DOCUMENTED_IMAGE, "tags": [tag]}
    created = client.gpu_droplets.create(names=[fresh_name("page") for _ in range(7)], **body).droplets
    answers = every_page(client.gpu_droplets.list, tag_name=tag, per_page=3)
    assert [len(answer.droplets) for answer in answers] == [3, 3, 1]
    assert [answer.meta.total for answer in answers] == [7, 7, 7]
    assert sorted(droplet.id for answer in answers for droplet in answer.droplets) == [one.id for one in created]
    for droplet in created:
        active(client, droplet.id)
    client.gpu_droplets.delete_by_tag(tag_name=tag)


# Actions


def test_every_served_action_of_a_droplet(client, one):
    status = lambda: checked(client.gpu_droplets.retrieve(one.id)).droplet.status
    act(client, one.id, "power_off")
    assert status() == "off"
    act(client, one.id, "power_on")
    assert status() == "active"
    act(client, one.id, "reboot")
    act(client, one.id, "power_cycle")
    act(client, one.id, "shutdown")
    assert status() == "off"
    act(client, one.id, "power_on")
    name = fresh_name("renamed")
    act(client, one.id, "rename", name=name)
    assert client.gpu_droplets.retrieve(one.id).droplet.name == name
    listing = lambda **paging: client.gpu_droplets.actions.list(one.id, **paging)
    answers = every_page(listing, per_page=3)
    kinds = [action.type for answer in answers for action in answer.actions]
    assert kinds == ["rename", "power_on", "shutdown", "power_cycle", "reboot", "power_on", "power_off", "create"]


def test_actions_by_tag_act_on_each_droplet_act_12(client, droplet_of):
    tag = fresh_name("bulk")
    made = {droplet_of(tags=[tag])["id"] for _ in range(3)}
    answer = client.gpu_droplets.actions.bulk_initiate(type="power_off", tag_name=tag)
    assert {action.resource_id for action in answer.actions} == made
    for action in answer.actions:
        eventually(
            lambda: client.gpu_droplets.actions.retrieve(action.id, droplet_id=action.resource_id).action.status,
            lambda status: status == "completed",
            "power_off",
        )
    off = [droplet.status for droplet in checked(client.gpu_droplets.list(tag_name=tag)).droplets]
    assert off == ["off", "off", "off"]


# Backups


def test_backup_policies(client, droplet_of):
    name = fresh_name("backups")
    droplet = droplet_of(name=name, backups=True)
    policies = {}
    for answer in every_page(client.gpu_droplets.backups.list_policies, per_page=200):
        policies |= answer.policies
    assert policies[str(droplet["id"])].backup_enabled is True
    policy = checked(client.gpu_droplets.backups.retrieve_policy(droplet["id"])).policy
    assert (policy.backup_policy.plan, policy.backup_policy.window_length_hours) == ("daily", 4)
    assert policy.next_backup_window.end > policy.next_backup_window.start

    bare = checked(client.gpu_droplets.backups.retrieve_policy(droplet_of()["id"])).policy
    assert bare.backup_enabled is False and bare.next_backup_window is None
    supported = checked(client.gpu_droplets.backups.list_supported_policies()).supported_policies
    assert {policy.name: policy.retention_period_days for policy in supported} == {"weekly": 28, "daily": 7}


# Keys


def test_ssh_keys_from_first_to_last(client):
    keys, public = client.gpu_droplets.account.keys, fresh_public_key()
    made = checked(keys.create(name="laptop", public_key=public)).ssh_key
    assert made.public_key == public and len(made.fingerprint.split(":")) == 16
    assert checked(keys.retrieve(made.id)).ssh_key == checked(keys.retrieve(made.fingerprint)).ssh_key
    assert checked(keys.update(made.id, name="desktop")).ssh_key.name == "desktop"
    assert checked(keys.update(made.fingerprint, name="server")).ssh_key.name == "server"
    listed = [key.id for answer in every_page(keys.list, per_page=1) for key in answer.ssh_keys]
    assert made.id in listed and DOCUMENTED_KEY[0] in listed and len(listed) == len(set(listed))
    keys.delete(made.fingerprint)
    assert made.id not in [key.id for key in keys.list(per_page=200).ssh_keys]


# Catalogue


def test_regions_sizes_and_images_on_every_page(client):
    regions = [region for answer in every_page(client.regions.list, per_page=4) for region in answer.regions]
    assert {"nyc3", "nyc1", "atl1", "lon1"} <= {region.slug for region in regions}

    answers = every_page(client.gpu_droplets.sizes.list)
    sizes = {size.slug: size for answer in answers for size in answer.sizes}
    assert len(answers) > 1 and len(sizes) == answers[0].meta.total
    assert (sizes[DOCUMENTED_SIZE].price_hourly, sizes[DOCUMENTED_SIZE].price_monthly) == (0.00893, 6)
    assert sizes[GPU_SIZE].gpu_info.vram.amount == 80

    images = [image for answer in every_page(client.gpu_droplets.images.list, per_page=5) for image in answer.images]
    by_slug = {image.slug: image for image in images}
    again = checked(client.gpu_droplets.images.retrieve(by_slug[DOCUMENTED_IMAGE].id)).image
    assert again == checked(client.gpu_droplets.images.retrieve(DOCUMENTED_IMAGE)).image == by_slug[DOCUMENTED_IMAGE]
    for image in images:
        checked(client.gpu_droplets.images.retrieve(image.id))


def test_images_filter_img_1(client):
    everything = client.gpu_droplets.images.list(per_page=200).meta.total
    plain = checked(client.gpu_droplets.images.list(type="distribution", per_page=200))
    ready = checked(client.gpu_droplets.images.list(type="application", per_page=200))
    own = checked(client.gpu_droplets.images.list(private=True, per_page=1))
    assert plain.meta.total + ready.meta.total + own.meta.total == everything and plain.meta.total > 0
    assert checked(client.gpu_droplets.images.list(tag_name="nothing-carries-this")).images == []


# Volumes


def test_volumes_from_first_to_last(client):
    volumes, name = client.gpu_droplets.volumes, fresh_name("volume")
    made = checked(volumes.create(
        name=name, region="nyc3", size_gigabytes=10, description="Words.", filesystem_type="ext4",
        filesystem_label="example", tags=["env:prod"],
    )).volume
    assert (made.region.slug, made.droplet_ids, made.filesystem_type) == ("nyc3", [], "ext4")
    assert checked(volumes.retrieve(made.id)).volume.to_dict() == made.to_dict()
    assert [volume.id for volume in checked(volumes.list(name=name, region="nyc3")).volumes] == [made.id]
    assert checked(volumes.list(name=name, region="nyc1")).volumes == []
    other = checked(volumes.create(name=name, region="nyc1", size_gigabytes=1)).volume
    listed = [one.id for answer in every_page(volumes.list, name=name, per_page=1) for one in answer.volumes]
    assert sorted(listed) == sorted([made.id, other.id])
    volumes.delete(made.id)
    volumes.delete_by_name(name=name, region="nyc1")
    assert checked(volumes.list(name=name)).meta.total == 0
