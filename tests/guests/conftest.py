"""What every scenario starts from: a server with real guests, told by environment variables.

`scripts/test-guests.sh` starts it and sets:

- DEW_TEST_URL: a server with `--engine qemu`, micro-x64 in its image directory, and imports allowed from loopback;
- DEW_TEST_TOKEN: its admin token;
- DEW_TEST_DATA: its data directory, to see that nothing is left in it;
- DEW_TEST_BINARY and DEW_TEST_IMAGE_DIR: for scenarios that start, and kill, a server of their own.
"""

import itertools
import os
import subprocess
import tempfile
from pathlib import Path

import httpx
import pytest
from gradient import Gradient

from guest import Guest, eventually
from killable import Killable

SETTINGS = ("DEW_TEST_URL", "DEW_TEST_TOKEN", "DEW_TEST_DATA", "DEW_TEST_BINARY", "DEW_TEST_IMAGE_DIR")
IMAGE = "micro-x64"
SIZE = "s-1vcpu-512mb-10gb"
REGION = "nyc3"

_numbers = itertools.count(1)


def pytest_sessionstart(session):
    missing = [name for name in SETTINGS if not os.environ.get(name)]
    if missing:
        pytest.exit(f"{', '.join(missing)} not set: run scripts/test-guests.sh, which starts the server", returncode=2)


class Lab:
    """The server, a key to get into its guests, and everything that was made, to be removed."""

    def __init__(self, client, http, directory):
        self.client = client
        self.http = http
        self.data = Path(os.environ["DEW_TEST_DATA"])
        self.key = directory / "key"
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(self.key)], check=True)
        public = self.key.with_suffix(".pub").read_text(encoding="ascii").strip()
        self.key_id = client.gpu_droplets.account.keys.create(name=f"lab-{self.fresh('key')}", public_key=public).ssh_key.id
        self.droplets, self.volumes = [], []

    def fresh(self, stem):
        return f"{stem}-{next(_numbers)}"

    def finish(self, action):
        """Waits for the end of an action; fails if it errored."""
        seen = eventually(
            lambda: self.http.get(f"/dew/v1/actions/{action}").json(),
            lambda story: story["action"]["status"] != "in-progress", f"end of action {action}",
        )
        assert seen["action"]["status"] == "completed", seen
        return self.client.gpu_droplets.actions.retrieve(action, droplet_id=seen["action"]["resource_id"]).action \
            if seen["action"]["resource_type"] == "droplet" else None

    def droplet(self, image=IMAGE, ready=True, **members):
        """Makes a Droplet and waits until it is ready."""
        keys = members.pop("ssh_keys", [self.key_id])
        made = self.client.gpu_droplets.create(
            name=self.fresh("guest"), region=REGION, size=SIZE, image=image, ssh_keys=keys, **members)
        guest = Guest(self, made.droplet.id)
        self.droplets.append(guest.id)
        self.finish(made.links.actions[0].id)
        return guest.ready() if ready else guest

    def volume(self, **members):
        """Makes a volume."""
        made = self.client.gpu_droplets.volumes.create(**{
            "name": self.fresh("volume"), "region": REGION, "size_gigabytes": 1, **members}).volume
        self.volumes.append(made.id)
        return made

    def volume_act(self, volume, **members):
        """Asks for an action on a volume and waits until it is completed."""
        self.finish(self.client.gpu_droplets.volumes.actions.initiate_by_id(volume.id, **members).action.id)

    def remove_everything(self):
        """Deletes what the test made, Droplets first, and every image and snapshot of the account."""
        paths = [f"/v2/droplets/{one}" for one in self.droplets] + [f"/v2/volumes/{one}" for one in self.volumes]
        for path in paths:
            # What a scenario that failed left an action running on can go when that is over.
            eventually(lambda: self.http.delete(path).status_code, lambda status: status in (204, 404), f"end of {path}", 60)
        for path, key in (("/v2/images?private=true&per_page=200", "images"), ("/v2/snapshots?per_page=200", "snapshots")):
            for one in self.http.get(path).json()[key]:
                assert self.http.delete(f"{path.partition('?')[0]}/{one['id']}").status_code in (204, 404, 422)
        self.http.delete(f"/v2/account/keys/{self.key_id}")
        eventually(self.left, lambda left: not left, "data directory without anything of what was deleted", 60)

    def left(self):
        """What the data directory still has of Droplets, volumes, images and imports."""
        places = [self.data / name for name in ("machines", "volumes", "layers", "import")]
        found = [path for place in places if place.is_dir() for path in place.iterdir()]
        # What the engine tries KVM with is nobody's.
        return sorted(str(path) for path in found if path.name != "probe.rom")


@pytest.fixture
def lab(monkeypatch, tmp_path):
    """The lab, empty again after the test: rows and files alike."""
    url, token = os.environ["DEW_TEST_URL"], os.environ["DEW_TEST_TOKEN"]
    monkeypatch.setenv("GRADIENT_BASE_URL", url)
    monkeypatch.setenv("DIGITALOCEAN_ACCESS_TOKEN", token)
    headers = {"Authorization": f"Bearer {token}"}
    with Gradient(_strict_response_validation=True) as client, httpx.Client(base_url=url, headers=headers, timeout=60) as http:
        lab = Lab(client, http, tmp_path)
        yield lab
        lab.remove_everything()


@pytest.fixture
def server():
    """A server of the scenario's own, over a directory where QEMU's own user can walk to."""
    with tempfile.TemporaryDirectory(prefix="dew-own.") as directory:
        os.chmod(directory, 0o711)
        server = Killable(directory)
        yield server
        server.stop()
