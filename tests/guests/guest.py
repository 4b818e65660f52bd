"""A Droplet as a script drives it: by the released SDK from outside, over SSH from inside."""

import shlex
import subprocess
import time

DEADLINE_SECONDS = 240
POLL_SECONDS = 0.2

# The host key is new and the address will be another Droplet's tomorrow: nothing is kept in known_hosts.
OPTIONS = [
    "StrictHostKeyChecking=no", "UserKnownHostsFile=/dev/null", "GlobalKnownHostsFile=/dev/null", "IdentitiesOnly=yes",
    "BatchMode=yes", "ConnectTimeout=20", "LogLevel=ERROR",
]


def eventually(look, until, what, deadline=DEADLINE_SECONDS):
    """Looks again until `until(seen)` holds, and answers what was seen. Fails after a deadline."""
    end = time.monotonic() + deadline
    while True:
        seen = look()
        if until(seen):
            return seen
        assert time.monotonic() < end, f"no {what} within {deadline} s; last seen: {seen!r}"
        time.sleep(POLL_SECONDS)


class Guest:
    """One Droplet and the way into it."""

    def __init__(self, lab, identity):
        self.lab = lab
        self.id = identity

    # From outside

    @property
    def droplet(self):
        return self.lab.client.gpu_droplets.retrieve(self.id).droplet

    def act(self, kind, **members):
        """Asks for an action and waits until it is completed."""
        asked = self.lab.client.gpu_droplets.actions.initiate(self.id, type=kind, **members).action
        return self.lab.finish(asked.id)

    def snapshot(self, name):
        """Takes a snapshot; answers the image."""
        action = self.act("snapshot", name=name)
        images = self.lab.client.gpu_droplets.list_snapshots(self.id, per_page=200).snapshots
        # ACT-9: how Terraform finds it.
        [image] = [image for image in images if image.created_at == action.started_at and image.name == name]
        assert image.id in self.droplet.snapshot_ids
        return image

    def ready(self):
        """Waits until SSH answers and user data has run; answers itself."""
        story = eventually(
            lambda: self.lab.http.get(f"/dew/v1/droplets/{self.id}").json(),
            lambda story: story["readiness"] != "pending", f"Droplet {self.id} that is ready",
        )
        assert story["readiness"] == "ready", story
        return self

    # From inside

    def run(self, command, check=True):
        """Runs a shell command as root; answers what it printed, without the last line's end."""
        access = self.lab.http.get(f"/dew/v1/droplets/{self.id}/access").json()
        [host] = [port["host"] for port in access["ports"] if port["guest_port"] == 22]
        address, _, port = host.rpartition(":")
        words = ["ssh", "-F", "none", "-i", str(self.lab.key), "-p", port]
        for option in OPTIONS:
            words += ["-o", option]
        # 255 is ssh's own: a command that ends so is made to say 254.
        command = f"({command}\n); status=$?; [ $status -eq 255 ] && exit 254; exit $status"
        # The SSH server of a guest that has just started, or is busy, may need a moment.
        end = time.monotonic() + 60
        while True:
            done = subprocess.run(
                [*words, f"root@{address}", command],
                stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=120, check=False,
            )
            if done.returncode != 255 or time.monotonic() > end:
                break
            time.sleep(POLL_SECONDS)
        if check:
            assert done.returncode == 0, f"{command!r} ended with {done.returncode}: {done.stdout}{done.stderr}"
        return done.stdout.rstrip("\n")

    def write(self, path, text):
        """Writes a file and makes sure it is on the disk."""
        self.run(f"mkdir -p $(dirname {shlex.quote(path)}) && printf %s {shlex.quote(text)} > {shlex.quote(path)} && sync")

    def read(self, path):
        return self.run(f"cat {shlex.quote(path)}")

    def has(self, path):
        return self.run(f"test -e {shlex.quote(path)} && echo yes || echo no") == "yes"


def by_id(volume_name):
    """Where a guest finds a volume (VOL-10)."""
    return f"/dev/disk/by-id/scsi-0DO_Volume_{volume_name}"
