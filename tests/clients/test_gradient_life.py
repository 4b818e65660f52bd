"""`gradient` 3.12.2 with strict response validation: the rest of a Droplet's life, from snapshot to password.

Backups themselves come in windows of hours, which these tests cannot wait for: the suite with a clock of its own has them.
"""

import gradient
import pytest

from harness import DOCUMENTED_IMAGE, DOCUMENTED_SIZE, eventually, fresh_name, undeclared
from test_gradient import act, active, checked, client, one  # noqa: F401


# Members that godo reads of a Droplet's snapshots, as of any image, and this client's class lacks.
IMAGE_MEMBERS = {"distribution", "slug", "public"}


def snapshots_of(client, droplet):
    answer = client.gpu_droplets.list_snapshots(droplet)
    assert {place.rpartition(".")[2] for place in undeclared(answer)} <= IMAGE_MEMBERS
    return answer.snapshots


def droplet(client, one):
    return checked(client.gpu_droplets.retrieve(one.id)).droplet


def test_a_snapshot_and_a_droplet_made_from_it_act_9(client, one):
    name = fresh_name("snapshot")
    action = act(client, one.id, "snapshot", name=name)
    taken = snapshots_of(client, one.id)
    assert [(snapshot.name, snapshot.type) for snapshot in taken] == [(name, "snapshot")]
    assert taken[0].created_at == action.started_at
    assert droplet(client, one).snapshot_ids == [taken[0].id]
    image = checked(client.gpu_droplets.images.retrieve(taken[0].id)).image
    assert (image.type, image.status, image.min_disk_size) == ("snapshot", "available", one.disk)

    made = checked(client.gpu_droplets.create(
        name=fresh_name("copy"), region="nyc3", size=DOCUMENTED_SIZE, image=taken[0].id,
    )).droplet
    assert active(client, made.id).image.id == taken[0].id
    client.gpu_droplets.images.delete(taken[0].id)
    copy = checked(client.gpu_droplets.retrieve(made.id)).droplet
    assert (copy.image.id, copy.image.status) == (taken[0].id, "deleted")
    client.gpu_droplets.delete(made.id)


def test_a_rebuild_keeps_number_name_and_addresses_dac_6(client, one):
    act(client, one.id, "rebuild", image="debian-12-x64")
    after = droplet(client, one)
    assert (after.image.slug, after.status, after.name) == ("debian-12-x64", "active", one.name)
    assert after.networks.v4 == one.networks.v4
    act(client, one.id, "rebuild", image=one.image.id)
    assert droplet(client, one).image.slug == DOCUMENTED_IMAGE


def test_a_restore_takes_backups_of_this_droplet_alone_dac_6(client, one):
    act(client, one.id, "snapshot", name=fresh_name("snapshot"))
    taken = snapshots_of(client, one.id)[0]
    with pytest.raises(gradient.UnprocessableEntityError, match="no backup of this Droplet"):
        client.gpu_droplets.actions.initiate(one.id, type="restore", image=taken.id)
    client.gpu_droplets.images.delete(taken.id)


def test_a_resize_without_and_with_the_disk_dac_3(client, one):
    with pytest.raises(gradient.UnprocessableEntityError, match="powered off"):
        client.gpu_droplets.actions.initiate(one.id, type="resize", size="s-1vcpu-2gb")
    act(client, one.id, "power_off")
    act(client, one.id, "resize", size="s-1vcpu-2gb", disk=False)
    after = droplet(client, one)
    assert (after.size_slug, after.memory, after.disk) == ("s-1vcpu-2gb", 2048, 25)
    act(client, one.id, "resize", size=DOCUMENTED_SIZE)
    act(client, one.id, "resize", size="s-1vcpu-2gb", disk=True)
    assert droplet(client, one).disk == 50
    with pytest.raises(gradient.UnprocessableEntityError, match="Size can not decrease"):
        client.gpu_droplets.actions.initiate(one.id, type="resize", size=DOCUMENTED_SIZE)


def test_backups_are_enabled_changed_and_disabled_dac_7(client, one):
    policy = lambda: checked(client.gpu_droplets.backups.retrieve_policy(one.id)).policy
    act(client, one.id, "enable_backups", backup_policy={"plan": "weekly", "weekday": "SUN", "hour": 20})
    assert (policy().backup_policy.weekday, policy().backup_policy.hour) == ("SUN", 20)
    assert "backups" in droplet(client, one).features and droplet(client, one).next_backup_window is not None
    act(client, one.id, "change_backup_policy", backup_policy={"plan": "daily", "hour": 4})
    assert (policy().backup_policy.plan, policy().backup_policy.hour) == ("daily", 4)
    act(client, one.id, "disable_backups")
    assert policy().backup_enabled is False and droplet(client, one).next_backup_window is None
    assert checked(client.gpu_droplets.backups.list(one.id)).backups == []


def test_ipv6_comes_and_stays_dac_8(client, one):
    act(client, one.id, "enable_ipv6")
    after = droplet(client, one)
    assert len(after.networks.v6) == 1 and "ipv6" in after.features
    with pytest.raises(gradient.UnprocessableEntityError):
        client.gpu_droplets.actions.initiate(one.id, type="enable_ipv6")


def test_a_password_is_reset_and_shown_once_cre_10(client, one, http):
    act(client, one.id, "password_reset")
    first = http.get(f"/dew/v1/droplets/{one.id}/password")
    assert first.status_code == 200 and len(first.json()["password"]) == 20
    assert http.get(f"/dew/v1/droplets/{one.id}/password").status_code == 404


def test_kernels_and_neighbors_dro_10_dro_11(client, one, droplet_of):
    assert checked(client.gpu_droplets.list_kernels(one.id)).kernels == []
    with pytest.raises(gradient.UnprocessableEntityError, match="managed from inside"):
        client.gpu_droplets.actions.initiate(one.id, type="change_kernel", kernel=12389723)
    other = droplet_of()
    beside = [neighbor.id for neighbor in checked(client.gpu_droplets.list_neighbors(one.id)).droplets]
    assert other["id"] in beside and one.id not in beside


@pytest.mark.parametrize("kind", ["snapshot", "enable_backups", "disable_backups", "enable_ipv6", "shutdown", "power_cycle"])
def test_every_kind_by_tag_act_12(client, droplet_of, kind):
    tag = fresh_name("bulk")
    made = {droplet_of(tags=[tag])["id"] for _ in range(2)}
    members = {"name": fresh_name("by-tag")} if kind == "snapshot" else {}
    answer = client.gpu_droplets.actions.bulk_initiate(type=kind, tag_name=tag, **members)
    assert {action.resource_id for action in answer.actions} == made
    for action in answer.actions:
        eventually(
            lambda: client.gpu_droplets.actions.retrieve(action.id, droplet_id=action.resource_id).action.status,
            lambda status: status == "completed",
            kind,
        )
    if kind == "snapshot":
        for droplet in made:
            snapshots = snapshots_of(client, droplet)
            assert [snapshot.name for snapshot in snapshots] == [members["name"]]
            client.gpu_droplets.images.delete(snapshots[0].id)
