"""The server killed in the middle of what it does: afterwards everything acknowledged is whole, and nothing is left over.

Runs a server of its own, with the same binary and images, over a directory of its own.
"""

import itertools
import os
import re
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

import httpx
import pytest

from guest import eventually

TOKEN = "dop_v1_of_the_one_who_kills"
SIZE = "s-1vcpu-512mb-10gb"
AWAIT = Path(__file__).parent.parent / "clients" / "await_server.py"


class Killable:
    """A server that can be killed and started again over the same directory."""

    def __init__(self, directory):
        self.directory = Path(directory)
        self.data = self.directory / "data"
        self.log = self.directory / "server.log"
        self.starts = itertools.count(1)
        self.process = None
        self.start()

    def start(self):
        log = self.directory / f"server-{next(self.starts)}.log"
        command = [
            os.environ["DEW_TEST_BINARY"], "serve", "--listen", "127.0.0.1:0", "--engine", "qemu",
            "--data-dir", self.data, "--image-dir", os.environ["DEW_TEST_IMAGE_DIR"],
        ]
        with open(log, "w", encoding="utf-8") as words:
            self.process = subprocess.Popen(
                command, stderr=words, env=os.environ | {"DEW_BOOTSTRAP_TOKEN": TOKEN, "DEW_LOG": "info"})
        address = subprocess.run(
            [sys.executable, AWAIT, log, str(self.process.pid)], check=True, capture_output=True, text=True).stdout.strip()
        self.http = httpx.Client(base_url=address, headers={"Authorization": f"Bearer {TOKEN}"}, timeout=60)

    def kill(self):
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()

    def kill_and_start(self):
        self.kill()
        self.start()

    def stop(self):
        self.process.terminate()
        assert self.process.wait(timeout=60) == 0
        for run in self.data.glob("machines/*/run.json"):
            found = re.search(r'"pid": *(\d+)', run.read_text(encoding="utf-8"))
            if found:
                subprocess.run(["kill", found[1]], check=False, stderr=subprocess.DEVNULL)

    # What is asked of it

    def ended(self, action):
        """Waits for the end of an action; answers its story."""
        return eventually(
            lambda: self.http.get(f"/dew/v1/actions/{action}").json(),
            lambda story: story["action"]["status"] != "in-progress", f"end of action {action}",
        )

    def newest(self):
        return self.http.get("/v2/actions?per_page=1").json()["actions"][0]["id"]

    def act(self, droplet, **members):
        answer = self.http.post(f"/v2/droplets/{droplet}/actions", json=members)
        assert answer.status_code == 201, answer.text
        return answer.json()["action"]["id"]

    def create(self, **members):
        body = {"name": "victim", "region": "nyc3", "size": SIZE, "image": "micro-x64"} | members
        answer = self.http.post("/v2/droplets", json=body)
        assert answer.status_code == 202, answer.text
        return answer.json()["droplet"]["id"]

    def volume(self, name, **members):
        answer = self.http.post("/v2/volumes", json={"name": name, "region": "nyc3", "size_gigabytes": 1} | members)
        assert answer.status_code == 201, answer.text
        return answer.json()["volume"]["id"]

    def volume_act(self, volume, **members):
        answer = self.http.post(f"/v2/volumes/{volume}/actions", json=members)
        assert answer.status_code == 202, answer.text
        return answer.json()["action"]["id"]

    def left(self):
        """What the data directory has of machines, volumes, layers and imports."""
        places = [self.data / name for name in ("machines", "volumes", "layers", "import")]
        found = [path for place in places if place.is_dir() for path in place.iterdir()]
        return sorted(str(path.relative_to(self.data)) for path in found if path.name != "probe.rom")


@pytest.fixture
def server():
    with tempfile.TemporaryDirectory(prefix="dew-kills.") as directory:
        os.chmod(directory, 0o711)
        server = Killable(directory)
        yield server
        server.stop()


def test_every_operation_survives_the_death_of_the_server(server):
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
