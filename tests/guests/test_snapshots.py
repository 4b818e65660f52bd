"""What was written before a snapshot is there after it, and nothing else."""


def test_a_snapshot_of_a_running_droplet_holds_what_was_written_before_it(lab):
    first = lab.droplet()
    first.write("/root/before", "written before")
    snapshot = first.snapshot("nightly")
    first.write("/root/after", "written after")

    second = lab.droplet(image=snapshot.id)

    assert second.read("/root/before") == "written before"
    assert not second.has("/root/after")
    assert first.read("/root/after") == "written after"
    assert second.droplet.image.id == snapshot.id


def test_a_snapshot_of_a_stopped_droplet_outlives_it(lab):
    first = lab.droplet()
    first.write("/root/kept", "still here")
    first.act("power_off")
    snapshot = first.snapshot("last words")
    lab.client.gpu_droplets.delete(first.id)

    second = lab.droplet(image=snapshot.id)
    lab.client.gpu_droplets.images.delete(snapshot.id)
    second.act("power_cycle")

    assert second.ready().read("/root/kept") == "still here"


def test_a_droplet_that_is_rebuilt_is_new_and_has_its_addresses(lab):
    guest = lab.droplet()
    before = guest.droplet
    guest.write("/root/old", "of the first life")

    guest.act("rebuild", image="micro-x64")
    guest.ready()

    assert not guest.has("/root/old")
    after = guest.droplet
    assert (after.id, after.name, after.networks) == (before.id, before.name, before.networks)


def test_a_droplet_is_rebuilt_from_its_snapshot(lab):
    guest = lab.droplet()
    guest.write("/root/state", "one")
    snapshot = guest.snapshot("one")
    guest.write("/root/state", "two")

    guest.act("rebuild", image=snapshot.id)

    assert guest.ready().read("/root/state") == "one"


def test_a_resized_droplet_keeps_its_files_and_has_more_of_everything(lab):
    guest = lab.droplet()
    guest.write("/root/kept", "still here")
    memory = int(guest.run("awk '/MemTotal/ {print $2}' /proc/meminfo"))
    disk = int(guest.run("cat /sys/block/vda/size"))

    guest.act("power_off")
    guest.act("resize", size="s-1vcpu-1gb", disk=True)
    guest.act("power_on")
    guest.ready()

    assert guest.read("/root/kept") == "still here"
    assert int(guest.run("awk '/MemTotal/ {print $2}' /proc/meminfo")) > memory * 1.5
    assert int(guest.run("cat /sys/block/vda/size")) == disk * 25 // 10
    assert (guest.droplet.size_slug, guest.droplet.disk, guest.droplet.memory) == ("s-1vcpu-1gb", 25, 1024)
