"""A volume is a disk in the guest: found by its name, kept by itself, grown and copied while it is used."""

from guest import by_id, eventually


def found(guest, volume):
    """Waits until the guest shows the volume."""
    eventually(lambda: guest.has(by_id(volume.name)), bool, f"{by_id(volume.name)} in the guest", 60)


def mounted(guest, volume, at="/mnt/data"):
    """Mounts the volume once the guest shows it."""
    found(guest, volume)
    guest.run(f"mkdir -p {at} && mount {by_id(volume.name)} {at}")


def test_a_volume_goes_from_droplet_to_droplet_with_its_content(lab):
    first, second = lab.droplet(), lab.droplet()
    volume = lab.volume(filesystem_type="ext4", filesystem_label="moving")

    lab.volume_act(volume, type="attach", droplet_id=first.id)
    mounted(first, volume)
    assert first.run("findfs LABEL=moving") == first.run(f"readlink -f {by_id(volume.name)}")
    first.write("/mnt/data/note", "carried over")
    first.run("umount /mnt/data")
    lab.volume_act(volume, type="detach", droplet_id=first.id)
    assert not first.has(by_id(volume.name))

    lab.volume_act(volume, type="attach", droplet_id=second.id)
    mounted(second, volume)
    assert second.read("/mnt/data/note") == "carried over"
    assert lab.client.gpu_droplets.volumes.retrieve(volume.id).volume.droplet_ids == [second.id]
    assert second.droplet.volume_ids == [volume.id]
    second.run("umount /mnt/data")


def test_a_droplet_is_made_with_its_volume_and_keeps_it_over_a_restart(lab):
    volume = lab.volume(filesystem_type="xfs", filesystem_label="data")
    guest = lab.droplet(volumes=[volume.id])
    mounted(guest, volume)
    guest.write("/mnt/data/note", "on the volume")
    guest.act("power_cycle")
    guest.ready()
    mounted(guest, volume)
    assert guest.read("/mnt/data/note") == "on the volume"


def test_a_volume_grows_while_it_is_used(lab):
    guest = lab.droplet()
    volume = lab.volume()
    lab.volume_act(volume, type="attach", droplet_id=guest.id)
    found(guest, volume)
    size = f"cat /sys/class/block/$(basename $(readlink -f {by_id(volume.name)}))/size"
    assert int(guest.run(size)) * 512 == 1 << 30
    lab.volume_act(volume, type="resize", size_gigabytes=2)
    assert int(guest.run(size)) * 512 == 2 << 30
    assert lab.client.gpu_droplets.volumes.retrieve(volume.id).volume.size_gigabytes == 2


def test_a_volume_starts_as_the_snapshot_of_another(lab):
    guest = lab.droplet()
    first = lab.volume(filesystem_type="ext4")
    lab.volume_act(first, type="attach", droplet_id=guest.id)
    mounted(guest, first)
    guest.write("/mnt/data/before", "in the snapshot")
    snapshot = lab.client.gpu_droplets.volumes.snapshots.create(first.id, name="copy").snapshot
    # The answer comes before the snapshot is taken.
    lab.finish(lab.http.get(f"/v2/volumes/{first.id}/actions").json()["actions"][0]["id"])
    second = lab.volume(snapshot_id=snapshot.id, size_gigabytes=2)
    guest.write("/mnt/data/after", "not in the snapshot")

    lab.volume_act(second, type="attach", droplet_id=guest.id)
    mounted(guest, second, "/mnt/copy")

    assert guest.read("/mnt/copy/before") == "in the snapshot"
    assert not guest.has("/mnt/copy/after")
