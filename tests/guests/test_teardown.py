"""A Droplet destroyed with all that belongs to it."""

from guest import eventually


def test_nothing_is_left_of_a_droplet_destroyed_with_everything(lab):
    guest = lab.droplet()
    volume = lab.volume()
    lab.volume_act(volume, type="attach", droplet_id=guest.id)
    snapshot = guest.snapshot("mine")
    copy = lab.client.gpu_droplets.volumes.snapshots.create(volume.id, name="of-it").snapshot
    eventually(
        lambda: lab.client.gpu_droplets.volumes.actions.list(volume.id).actions,
        lambda actions: all(action.status == "completed" for action in actions), "volume without a running action",
    )
    group = lab.client.gpu_droplets.destroy_with_associated_resources
    found = group.list(guest.id)
    assert [one.id for one in found.snapshots] == [str(snapshot.id)]
    assert [one.id for one in found.volumes] == [volume.id]
    assert [one.id for one in found.volume_snapshots] == [copy.id]

    group.delete_dangerous(guest.id, x_dangerous=True)

    status = eventually(lambda: group.check_status(guest.id), lambda status: status.completed_at, "end of it")
    assert status.failures == 0 and status.droplet.destroyed_at
    eventually(lab.left, lambda left: not left, "data directory with nothing left in it", 60)
