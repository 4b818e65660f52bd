"""A server of a scenario's own: one that can be killed, and started again over the same directory, at another time."""

import itertools
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import httpx

from guest import eventually

TOKEN = "dop_v1_of_the_one_who_kills"
SIZE = "s-1vcpu-512mb-10gb"
AWAIT = Path(__file__).parent.parent / "clients" / "await_server.py"


class Killable:
    """A server that can be killed and started again over the same directory."""

    def __init__(self, directory):
        self.directory = Path(directory)
        self.data = self.directory / "data"
        self.starts = itertools.count(1)
        self.process = None
        self.start()

    def start(self, ahead=0):
        """Starts it on a free port, with its clock this many seconds ahead."""
        log = self.directory / f"server-{next(self.starts)}.log"
        command = [
            os.environ["DEW_TEST_BINARY"], "serve", "--listen", "127.0.0.1:0", "--engine", "qemu",
            "--data-dir", self.data, "--image-dir", os.environ["DEW_TEST_IMAGE_DIR"],
        ]
        environment = os.environ | {"DEW_BOOTSTRAP_TOKEN": TOKEN, "DEW_LOG": "info"}
        if ahead:
            # The time of day alone: what it waits for passes as it does for everyone.
            [library] = Path("/usr/lib").glob("*/faketime/libfaketimeMT.so.1")
            environment |= {"LD_PRELOAD": str(library), "FAKETIME": f"+{ahead}s", "FAKETIME_DONT_FAKE_MONOTONIC": "1"}
        with open(log, "w", encoding="utf-8") as words:
            self.process = subprocess.Popen(command, stderr=words, env=environment)
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
