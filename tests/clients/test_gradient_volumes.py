"""Volumes, their actions and snapshots, and Droplets destroyed with what belongs to them, through `gradient` 3.12.2, strict."""

import gradient
import pytest

from harness import eventually, finish, fresh_name
from test_gradient import checked, client, every_page  # noqa: F401, the client is a fixture


@pytest.fixture
def volume(client):
    """A volume of 10 GiB in nyc3."""
    return checked(client.gpu_droplets.volumes.create(name=fresh_name("disk"), region="nyc3", size_gigabytes=10)).volume


def done(client, volume, answer):
    """Waits for the end of a volume's action, looking at it as the client does."""
    action = checked(answer).action
    assert (action.resource_type, action.resource_id) == ("volume", None)
    actions = client.gpu_droplets.volumes.actions
    seen = eventually(
        lambda: checked(actions.retrieve(action.id, volume_id=volume.id)).action,
        lambda action: action.status != "in-progress",
        f"end of {action.type}",
    )
    assert seen.status == "completed" and seen.completed_at is not None, seen
    return seen.type


def test_volumes_are_attached_resized_and_detached(client, volume, droplet_of):
    volumes, droplet = client.gpu_droplets.volumes, droplet_of()["id"]
    assert done(client, volume, volumes.actions.initiate_by_id(volume.id, type="attach", droplet_id=droplet)) == "attach_volume"
    assert checked(volumes.retrieve(volume.id)).volume.droplet_ids == [droplet]
    assert checked(client.gpu_droplets.retrieve(droplet)).droplet.volume_ids == [volume.id]
    assert done(client, volume, volumes.actions.initiate_by_id(volume.id, type="resize", size_gigabytes=20)) == "resize"
    assert checked(volumes.retrieve(volume.id)).volume.size_gigabytes == 20
    assert done(client, volume, volumes.actions.initiate_by_id(volume.id, type="detach", droplet_id=droplet)) == "detach_volume"

    with pytest.raises(gradient.UnprocessableEntityError, match="Attachment not found"):
        volumes.actions.initiate_by_id(volume.id, type="detach", droplet_id=droplet)
    listing = lambda **paging: volumes.actions.list(volume.id, **paging)
    kinds = [action.type for answer in every_page(listing, per_page=2) for action in answer.actions]
    assert kinds == ["detach_volume", "resize", "attach_volume", "create"]
    volumes.delete(volume.id)


def test_an_action_by_name(client, volume, droplet_of):
    volumes, droplet = client.gpu_droplets.volumes, droplet_of()["id"]
    answer = volumes.actions.initiate_by_name(
        type="attach", droplet_id=droplet, region="nyc3", extra_body={"volume_name": volume.name},
    )
    assert done(client, volume, answer) == "attach_volume"
    done(client, volume, volumes.actions.initiate_by_id(volume.id, type="detach", droplet_id=droplet))
    volumes.delete(volume.id)


def test_snapshots_of_volumes_and_volumes_from_them(client, volume):
    volumes, name = client.gpu_droplets.volumes, fresh_name("snapshot")
    made = checked(volumes.snapshots.create(volume.id, name=name, tags=["keep"])).snapshot
    assert (made.resource_id, made.resource_type, made.min_disk_size) == (volume.id, "volume", 10)
    copy = checked(volumes.create(
        name=fresh_name("copy"), region="nyc3", size_gigabytes=20, snapshot_id=made.id,
    )).volume
    taken = eventually(
        lambda: checked(volumes.snapshots.retrieve(made.id)).snapshot,
        lambda snapshot: snapshot.size_gigabytes > 0,
        "snapshot with a size",
    )
    assert taken.tags == ["keep"] and taken.regions == ["nyc3"]
    listing = lambda **paging: volumes.snapshots.list(volume.id, **paging)
    assert [one.id for answer in every_page(listing, per_page=1) for one in answer.snapshots] == [made.id]
    listed = lambda: [one.status for one in volumes.actions.list(copy.id).actions]
    eventually(listed, lambda statuses: statuses == ["completed"], "copy")
    volumes.snapshots.delete(made.id)
    with pytest.raises(gradient.NotFoundError):
        volumes.snapshots.retrieve(made.id)
    for one in (copy, volume):
        volumes.delete(one.id)


@pytest.fixture
def scene(client, volume, droplet_of, http):
    """A Droplet with a volume that has a snapshot."""
    droplet = droplet_of(volumes=[volume.id])["id"]
    snapshot = client.gpu_droplets.volumes.snapshots.create(volume.id, name=fresh_name("snapshot")).snapshot
    for action in http.get(f"/v2/volumes/{volume.id}/actions").json()["actions"]:
        finish(http, action["id"])
    return droplet, volume.id, snapshot.id


def destroyed(client, droplet):
    together = client.gpu_droplets.destroy_with_associated_resources
    return eventually(
        lambda: checked(together.check_status(droplet)), lambda status: status.completed_at is not None, "end of it",
    )


def test_a_droplet_is_destroyed_with_everything(client, scene):
    together, (droplet, volume, snapshot) = client.gpu_droplets.destroy_with_associated_resources, scene
    found = checked(together.list(droplet))
    assert [(one.id, one.cost) for one in found.volumes] == [(volume, "1.00")]
    assert [one.id for one in found.volume_snapshots] == [snapshot]
    assert found.snapshots == found.reserved_ips == found.floating_ips == []

    together.delete_dangerous(droplet, x_dangerous=True)
    status = destroyed(client, droplet)
    assert status.failures == 0 and status.droplet.destroyed_at is not None
    assert [(one.id, one.error_message) for one in status.resources.volumes] == [(volume, None)]
    together.retry(droplet)
    for gone in (lambda: client.gpu_droplets.retrieve(droplet), lambda: client.gpu_droplets.volumes.retrieve(volume)):
        with pytest.raises(gradient.NotFoundError):
            gone()


def test_a_droplet_is_destroyed_with_what_is_chosen(client, scene):
    together, (droplet, volume, snapshot) = client.gpu_droplets.destroy_with_associated_resources, scene
    with pytest.raises(gradient.UnprocessableEntityError):
        together.delete_selective(droplet, volumes=[snapshot])
    together.delete_selective(droplet, volume_snapshots=[snapshot])
    status = destroyed(client, droplet)
    assert [one.id for one in status.resources.volume_snapshots] == [snapshot] and status.resources.volumes == []
    assert checked(client.gpu_droplets.volumes.retrieve(volume)).volume.droplet_ids == []
    client.gpu_droplets.volumes.delete(volume)
