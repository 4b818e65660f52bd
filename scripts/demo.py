#!/usr/bin/env python3
"""Shows Dewpoint from a documented request to a command run over SSH, then cleans up.

Starts `dew serve` with the QEMU engine on a free loopback port, creates a Droplet, follows it until it is ready, logs in,
prints how to point other tools at the server, deletes the Droplet and stops the server. Whatever happens, also Ctrl-C,
no process stays behind and no file outside the data directory. Only the standard library is needed.
"""

import argparse
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request

TAG = "dewpoint-demo"
WRITTEN_BY_USER_DATA = "/root/hello.txt"
USER_DATA = f"""#!/bin/sh
echo "Written by user_data on $(hostname)" > {WRITTEN_BY_USER_DATA}
"""
SERVER_SECONDS = 60
READY_SECONDS = 300
GONE_SECONDS = 60


class Failure(Exception):
    """What went wrong, in a sentence for the person who ran the demo."""


class Interrupted(Exception):
    """A signal asked the demo to end."""


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--dew", required=True, help="the binary")
    parser.add_argument("--data-dir", required=True, help="where everything is kept")
    arguments = parser.parse_args()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, interrupt)

    demo = Demo(os.path.abspath(arguments.dew), os.path.abspath(arguments.data_dir))
    status = 1
    try:
        demo.run()
        status = 0
    except Failure as failure:
        print(f"\nThe demo failed: {failure}", file=sys.stderr)
    except Interrupted as interrupted:
        print("\nInterrupted: cleaning up", file=sys.stderr)
        status = interrupted.args[0]
    finally:
        # From here on nothing may cut the cleaning short.
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, signal.SIG_IGN)
        problem = demo.clean_up()
    if problem:
        print(f"Cleaning up failed: {problem}", file=sys.stderr)
        status = status or 1
    return status


def interrupt(number, _frame):
    raise Interrupted(128 + number)


class Demo:
    def __init__(self, dew, data_dir):
        self.dew = dew
        self.data_dir = data_dir
        self.key = os.path.join(data_dir, "ssh", "id_ed25519")
        self.log = os.path.join(data_dir, "server.log")
        self.started = time.monotonic()
        self.server = None
        self.url = None
        self.token = None
        self.key_id = None

    def run(self):
        self.start_server()
        self.make_key()
        droplet = self.create_droplet()
        self.follow(droplet)
        self.run_over_ssh(droplet)
        self.print_how_to_connect()
        self.delete_droplet(droplet)
        self.stop_server()
        say(f"Done in {self.seconds():.1f} s. What is left is in {self.data_dir}: images, the empty store, the log.")

    def seconds(self):
        return time.monotonic() - self.started

    # The server

    def start_server(self):
        environment = {name: value for name, value in os.environ.items() if not name.startswith("DEW_")}
        command = [self.dew, "serve", "--listen", "127.0.0.1:0", "--engine", "qemu", "--data-dir", self.data_dir]
        heading("Start the server")
        say(f"$ dew {' '.join(command[1:])}")
        with open(self.log, "wb") as log:
            # A session of its own: Ctrl-C reaches the demo, which then stops the server in order.
            self.server = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=environment, start_new_session=True
            )
        url = wait_for("the server", SERVER_SECONDS, self.serving_address)
        with open(os.path.join(self.data_dir, "admin-token"), encoding="ascii") as file:
            self.token = file.read().strip()
        self.url = url
        say(f"{url} answers after {self.seconds():.1f} s; its log is {self.log}")
        # Of an earlier demo that could not clean up.
        self.delete_all()

    def serving_address(self):
        with open(self.log, encoding="utf-8", errors="replace") as file:
            text = file.read()
        if self.server.poll() is not None:
            raise Failure(f"the server ended with {self.server.returncode}:\n{text.strip()}")
        found = re.search(r"Serving on (http://[0-9.:]+)", text)
        return found and found[1]

    def stop_server(self):
        heading("Stop the server")
        self.server.terminate()
        try:
            status = self.server.wait(timeout=60)
        except subprocess.TimeoutExpired:
            raise Failure("the server did not stop within 60 s of SIGTERM") from None
        if status != 0:
            raise Failure(f"the server ended with {status} after SIGTERM, not with 0")
        say("It ended with 0.")

    # The Droplet

    def make_key(self):
        directory = os.path.dirname(self.key)
        shutil.rmtree(directory, ignore_errors=True)
        os.mkdir(directory, mode=0o700)
        subprocess.run(
            ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", TAG, "-f", self.key], check=True
        )
        with open(self.key + ".pub", encoding="ascii") as file:
            answer = self.call("POST", "/v2/account/keys", {"name": TAG, "public_key": file.read().strip()})
        self.key_id = answer["ssh_key"]["id"]

    def create_droplet(self):
        body = {
            "name": "web-1.example.com",
            "region": "nyc3",
            "size": "s-1vcpu-1gb",
            "image": "micro-x64",
            "ssh_keys": [self.key_id],
            "backups": True,
            "ipv6": True,
            "monitoring": True,
            "tags": ["env:prod", "web", TAG],
            "user_data": USER_DATA,
        }
        heading("Create a Droplet")
        say("POST /v2/droplets")
        say(json.dumps(body, indent=2))
        droplet = self.call("POST", "/v2/droplets", body)["droplet"]
        say(f"202: Droplet {droplet['id']} is {droplet['status']}")
        return droplet

    def follow(self, droplet):
        """Prints each milestone as it is reached; returns once the Droplet is ready."""
        heading("Wait until it is ready: SSH answers and user_data has run")
        told = set()
        action = self.call("GET", f"/v2/droplets/{droplet['id']}/actions")["actions"][0]

        def ready():
            try:
                story = self.call("GET", f"/dew/v1/droplets/{droplet['id']}")
            except NotFound:
                story = self.call("GET", f"/dew/v1/actions/{action['id']}")
                raise Failure(f"the Droplet could not be made: {story['reason']}") from None
            for milestone in story["milestones"]:
                if milestone["name"] not in told:
                    told.add(milestone["name"])
                    say(f"{milestone['after_ms'] / 1000:8.3f} s  {milestone['name']}")
            if story["readiness"] not in ("pending", "ready"):
                raise Failure(f"the Droplet is {story['readiness']}: {story['readiness_detail']}")
            return story["readiness"] == "ready"

        wait_for("the Droplet", READY_SECONDS, ready)

    def run_over_ssh(self, droplet):
        access = self.call("GET", f"/dew/v1/droplets/{droplet['id']}/access")
        host = next(port["host"] for port in access["ports"] if port["guest_port"] == 22)
        address, _, port = host.rpartition(":")
        # The host key is new and the address will be another Droplet's tomorrow: nothing is kept in known_hosts.
        options = [
            "StrictHostKeyChecking=no",
            "UserKnownHostsFile=/dev/null",
            "GlobalKnownHostsFile=/dev/null",
            "IdentitiesOnly=yes",
            "BatchMode=yes",
            "ConnectTimeout=20",
            "LogLevel=ERROR",
        ]
        remote = f"uname -a; cat {WRITTEN_BY_USER_DATA}"
        heading("Run a command in it")
        say(f"$ ssh -p {port} root@{address} '{remote}'")
        command = ["ssh", "-F", "none", "-i", self.key, "-p", port]
        for option in options:
            command += ["-o", option]
        done = subprocess.run(
            [*command, f"root@{address}", remote],
            stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60, check=False,
        )
        say(done.stdout.strip())
        if done.returncode != 0:
            raise Failure(f"ssh ended with {done.returncode}: {done.stderr.strip()}")
        if "Written by user_data on" not in done.stdout:
            raise Failure("user_data did not write its file")

    def print_how_to_connect(self):
        token = os.path.join(self.data_dir, "admin-token")
        heading("Use it with the tools you have")
        say(
            f"""\
# The server, for as long as you like:
{self.dew} serve --engine qemu --data-dir {self.data_dir}

# Python SDK (pip install gradient):
export GRADIENT_BASE_URL=http://127.0.0.1:8080 DIGITALOCEAN_ACCESS_TOKEN=$(cat {token})
python3 -c 'from gradient import Gradient; print(Gradient().gpu_droplets.list().droplets)'

# doctl:
export DIGITALOCEAN_API_URL=http://127.0.0.1:8080 DIGITALOCEAN_ACCESS_TOKEN=$(cat {token})
doctl compute droplet create web-1 --region nyc3 --size s-1vcpu-1gb --image micro-x64 --wait

# Terraform, with the same DIGITALOCEAN_ACCESS_TOKEN:
provider "digitalocean" {{
  api_endpoint = "http://127.0.0.1:8080"
}}"""
        )

    def delete_droplet(self, droplet):
        heading("Delete the Droplet")
        self.call("DELETE", f"/v2/droplets/{droplet['id']}")
        began = time.monotonic()
        wait_for("the end of its machine", GONE_SECONDS, lambda: not self.machines())
        say(f"Its process and its files are gone after {time.monotonic() - began:.1f} s.")

    # Cleaning up

    def clean_up(self):
        """Ends what is still there, after success, failure or a signal alike. Returns what could not be ended."""
        problem = None
        shutil.rmtree(os.path.dirname(self.key), ignore_errors=True)
        if self.server is None:
            return None
        if self.server.poll() is None:
            try:
                if self.url:
                    self.delete_all()
            except (Failure, OSError) as failure:
                problem = str(failure)
            self.server.terminate()
            try:
                self.server.wait(timeout=60)
            except subprocess.TimeoutExpired:
                self.server.kill()
                self.server.wait()
                problem = "the server had to be killed"
        # Only a server that served had the data directory to itself: without one the processes may be another's.
        if self.url:
            for pid in self.processes():
                problem = problem or "a QEMU process had to be killed"
                os.kill(pid, signal.SIGKILL)
        return problem

    def delete_all(self):
        """Deletes every Droplet and key of the demo, and waits until their machines are gone."""
        wait_for("the Droplets' actions to end", GONE_SECONDS, self.delete_droplets)
        for key in self.call("GET", "/v2/account/keys?per_page=200")["ssh_keys"]:
            if key["name"] == TAG:
                self.call("DELETE", f"/v2/account/keys/{key['id']}")
        wait_for("the end of the demo's machines", GONE_SECONDS, lambda: not self.machines())

    def delete_droplets(self):
        """Deletes the demo's Droplets; false when one of them is still being made, which refuses it for a moment."""
        try:
            self.call("DELETE", f"/v2/droplets?tag_name={TAG}")
        except NotFound:
            pass  # no Droplet has had the tag yet
        except Refused:
            return False
        return True

    def machines(self):
        """What is left of machines: their directories and their processes."""
        directory = os.path.join(self.data_dir, "machines")
        names = os.listdir(directory) if os.path.isdir(directory) else []
        return [name for name in names if name.isdigit()] + self.processes()

    def processes(self):
        """The QEMU processes of this data directory: each works in its machine's directory below it."""
        below = os.path.join(os.path.realpath(self.data_dir), "machines") + os.sep
        found = []
        for pid in filter(str.isdigit, os.listdir("/proc")):
            try:
                if os.readlink(f"/proc/{pid}/cwd").startswith(below):
                    found.append(int(pid))
            except OSError:
                continue  # gone meanwhile, or another user's
        return found

    # HTTP

    def call(self, method, path, body=None):
        """One request; the answer's JSON, or None when it has no body."""
        request = urllib.request.Request(self.url + path, method=method)
        request.add_header("Authorization", f"Bearer {self.token}")
        if body is not None:
            request.add_header("Content-Type", "application/json")
            request.data = json.dumps(body).encode()
        try:
            # A proxy of the environment must not get between us and loopback.
            with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(request, timeout=30) as answer:
                text = answer.read()
        except urllib.error.HTTPError as error:
            said = error.read().decode(errors="replace")
            kind = {404: NotFound, 422: Refused}.get(error.code, Failure)
            raise kind(f"{method} {path} answered {error.code}: {said}") from None
        except urllib.error.URLError as error:
            raise Failure(f"{method} {path} got no answer: {error.reason}") from None
        return json.loads(text) if text else None


class NotFound(Failure):
    """The server answered 404."""


class Refused(Failure):
    """The server answered 422."""


def wait_for(what, seconds, done):
    """Asks `done` ten times a second until it says something true, and returns that."""
    deadline = time.monotonic() + seconds
    while True:
        result = done()
        if result:
            return result
        if time.monotonic() > deadline:
            raise Failure(f"waited {seconds} s for {what}")
        time.sleep(0.1)


def heading(text):
    print(f"\n== {text}", flush=True)


def say(text):
    print(text, flush=True)


if __name__ == "__main__":
    sys.exit(main())
