"""The server killed in the middle of what it does: afterwards everything acknowledged is whole, and nothing is left over.

Runs a server of its own, with the same binary and images, over a directory of its own.
"""


def test_every_operation_survives_the_death_of_the_server(server, capfd):
    droplet = server.create()
    assert server.ended(server.newest())["action"]["status"] == "completed"
    volume = server.volume("data", filesystem_type="ext4")
    server.ended(server.newest())
    completed = []

    def killed(action, note):
        """Kills the server at once after an action was accepted; the next one finishes it."""
        server.kill_and_start()
        story = server.ended(action)
        # Each of these can be finished whatever was cut off; none may be lost or stay undone.
        assert story["action"]["status"] == "completed", (note, story)
        completed.append(note)

    killed(server.act(droplet, type="snapshot", name="running"), "snapshot of a running Droplet")
    killed(server.volume_act(volume, type="attach", droplet_id=droplet), "attach")
    assert server.http.get(f"/v2/droplets/{droplet}").json()["droplet"]["volume_ids"] == [volume]
    copy = server.http.post(f"/v2/volumes/{volume}/snapshots", json={"name": "copy"}).json()["snapshot"]["id"]
    killed(server.newest(), "snapshot of an attached volume")
    killed(server.volume_act(volume, type="resize", size_gigabytes=2), "resize of an attached volume")
    second = server.volume("second", snapshot_id=copy, size_gigabytes=1)
    killed(server.newest(), "volume from a snapshot")
    killed(server.volume_act(volume, type="detach", droplet_id=droplet), "detach")
    killed(server.act(droplet, type="power_cycle"), "power cycle")
    [image] = server.http.get(f"/v2/droplets/{droplet}").json()["droplet"]["snapshot_ids"]
    killed(server.act(droplet, type="rebuild", image=image), "rebuild from the snapshot")
    killed(server.act(droplet, type="power_off"), "power off")
    killed(server.act(droplet, type="resize", size="s-1vcpu-1gb", disk=True), "resize of a Droplet")
    killed(server.act(droplet, type="snapshot", name="stopped"), "snapshot of a stopped Droplet")
    twin = server.create(image=image, volumes=[second])
    killed(server.newest(), "create from a snapshot with a volume")
    assert server.http.get(f"/v2/droplets/{twin}").json()["droplet"]["status"] == "active"

    assert server.http.delete(f"/v2/droplets/{twin}").status_code == 204
    killed(server.newest(), "destroy of a Droplet")
    for path in (f"/v2/volumes/{volume}", f"/v2/volumes/{second}", f"/v2/volumes/snapshots/{copy}"):
        assert server.http.delete(path).status_code == 204, path
        killed(server.newest(), f"DELETE {path}")
    for snapshot in server.http.get("/v2/snapshots").json()["snapshots"]:
        assert server.http.delete(f"/v2/snapshots/{snapshot['id']}").status_code == 204
        killed(server.newest(), "delete of a snapshot")
    assert server.http.delete(f"/v2/droplets/{droplet}").status_code == 204
    killed(server.newest(), "destroy of the last Droplet")
    assert server.left() == [], "no orphan file stays"
    assert len(completed) >= 18
    with capfd.disabled():
        print(f"\nkills survived: {len(completed)}")  # for docs/sure.md
