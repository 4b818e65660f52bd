"""Backups on schedule, of a real guest, and back again. The server's clock is set ahead to the time a backup is due."""

import sqlite3
import subprocess
import time

from guest import Guest, eventually


class Inside:
    """What a guest needs to be reached: a server to ask, and a key."""

    def __init__(self, server, directory):
        self.server = server
        self.key = directory / "key"

    @property
    def http(self):
        return self.server.http


def due(server, droplet):
    """When the Droplet's next backup is due, in seconds since the Unix epoch: no answer tells the minute."""
    with sqlite3.connect(f"file:{server.data}/dewpoint.db?mode=ro", uri=True) as store:
        return store.execute("SELECT backup_due_at FROM droplets WHERE id = ?", (droplet,)).fetchone()[0] / 1000


def backups(server, droplet):
    return server.http.get(f"/v2/droplets/{droplet}/backups").json()["backups"]


def test_a_backup_is_made_when_it_is_due_and_restores_what_was_there(server, tmp_path):
    inside = Inside(server, tmp_path)
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(inside.key)], check=True)
    key = server.http.post("/v2/account/keys", json={
        "name": "inside", "public_key": inside.key.with_suffix(".pub").read_text(encoding="ascii").strip()}).json()
    droplet = server.create(ssh_keys=[key["ssh_key"]["id"]], backups=True)
    assert server.ended(server.newest())["action"]["status"] == "completed"
    guest = Guest(inside, droplet).ready()
    guest.write("/root/state", "as it was backed up")
    assert backups(server, droplet) == []

    server.kill()
    server.start(ahead=int(due(server, droplet) - time.time()) - 5)
    [backup] = eventually(lambda: backups(server, droplet), bool, "backup that is made", 120)
    guest.write("/root/state", "as it was broken later")
    story = server.ended(server.act(droplet, type="restore", image=backup["id"]))

    assert story["action"]["status"] == "completed", story
    assert guest.ready().read("/root/state") == "as it was backed up"
    assert server.http.get("/v2/snapshots").json()["snapshots"] == [], "SNP-2"
    image = server.http.post(f"/v2/images/{backup['id']}/actions", json={"type": "convert"})
    assert server.ended(image.json()["id"])["action"]["status"] == "completed"
    seen = server.http.get(f"/v2/droplets/{droplet}").json()["droplet"]
    assert (seen["backup_ids"], seen["snapshot_ids"]) == ([], [backup["id"]])
    assert server.http.delete(f"/v2/droplets/{droplet}").status_code == 204
    server.ended(server.newest())
    assert server.http.delete(f"/v2/snapshots/{backup['id']}").status_code == 204
    server.ended(server.newest())
    assert server.left() == []
