"""The simulator's whole state, kept and put back over HTTP, and what following events costs creates."""

import base64
import http.client
import json
import os
import statistics
import struct
import subprocess
import time

ROUNDS = 200
PAIRS = 4


class Connection:
    """One connection to a server, kept open."""

    def __init__(self, server, token):
        self.connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=60)
        self.headers = {"Authorization": f"Bearer {token}"}

    def ask(self, method, path, body=None):
        self.connection.request(method, path, json.dumps(body) if body is not None else None, self.headers)
        answer = self.connection.getresponse()
        text = answer.read()
        if answer.status >= 400:
            raise SystemExit(f"{method} {path}: {answer.status} {text}")
        return json.loads(text) if text else None

    def timed(self, method, path):
        """Milliseconds from sending to the whole answer."""
        began = time.perf_counter()
        self.ask(method, path)
        return 1000 * (time.perf_counter() - began)


def public_key():
    """One that nobody has the private half of."""
    kind = b"ssh-ed25519"
    blob = struct.pack(">I", len(kind)) + kind + struct.pack(">I", 32) + os.urandom(32)
    return f"ssh-ed25519 {base64.b64encode(blob).decode()}"


def spread(times):
    ordered = sorted(times)
    return f"{statistics.median(ordered):.2f} ms, p99 {ordered[len(ordered) * 99 // 100]:.2f} ms"


def measure(there, name, row):
    """Keeps the state and puts it back, each time after a change."""
    took = {"keep": [], "put back": []}
    for number in range(ROUNDS):
        there.ask("POST", "/v2/tags", {"name": f"round-{number}"})
        took["keep"].append(there.timed("PUT", "/dew/v1/snapshots/bench"))
        there.ask("POST", "/v2/tags", {"name": f"again-{number}"})
        took["put back"].append(there.timed("POST", "/dew/v1/snapshots/bench/restore"))
    state = there.ask("GET", "/dew/v1/snapshots")["snapshots"][0]
    row(f"state of {name}", f"{state['bytes'] / 1024:,.0f} KiB")
    row(f"  keep it over HTTP, median of {ROUNDS}", spread(took["keep"]), "aim: under 5 ms")
    row(f"  put it back over HTTP, median of {ROUNDS}", spread(took["put back"]), "aim: under 5 ms")


def bench_restore(start, token, row):
    server = start()
    there = Connection(server, token)
    for _ in range(10):
        body = {"names": ["web"] * 10, "region": "nyc3", "size": "s-1vcpu-1gb", "image": "ubuntu-22-04-x64"}
        there.ask("POST", "/v2/droplets", body)
    server.idle()
    measure(there, "100 Droplets", row)
    for number in range(100):
        volume = {"name": f"data-{number}", "region": "nyc3", "size_gigabytes": 1}
        image = {"name": "own", "url": "https://images.example.com/a.qcow2", "region": "nyc3", "distribution": "Debian"}
        there.ask("POST", "/v2/volumes", volume)
        there.ask("POST", "/v2/images", image)
        there.ask("POST", "/v2/account/keys", {"name": f"key-{number}", "public_key": public_key()})
    server.idle()
    measure(there, "these and 100 volumes, keys and images", row)
    resets = [there.timed("POST", "/dew/v1/reset") for _ in range(ROUNDS)]
    row(f"reset over HTTP, median of {ROUNDS}", spread(resets), "aim: under 5 ms")
    server.stop()


def bench_events(start, token, row):
    """Creates without a reader and with one that reads everything, in turns, each on a server of its own."""
    ratios, alone = [], []
    for _ in range(PAIRS):
        rates = {}
        for reads in (False, True):
            server = start()
            reader = None
            if reads:
                command = ["curl", "-sN", "-H", f"Authorization: Bearer {token}", "-H", "Accept: text/event-stream"]
                with open("/dev/null", "wb") as nowhere:
                    reader = subprocess.Popen([*command, f"http://127.0.0.1:{server.port}/dew/v1/events"], stdout=nowhere)
            server.wrk("create.lua", 1, 32)
            rates[reads] = server.wrk("create.lua", 5, 32)["rate"]
            if reader:
                if reader.poll() is not None:
                    row("  a reader was cut off", "too slow")
                reader.kill()
                reader.wait()
            server.stop()
        ratios.append(rates[True] / rates[False])
        alone.append(rates[False])
    row("creates without a reader of events, median", f"{statistics.median(alone):,.0f}/s")
    row(f"creates with one beside those without, {PAIRS} pairs", " ".join(f"{ratio:.2f}" for ratio in ratios), "aim: 1")

