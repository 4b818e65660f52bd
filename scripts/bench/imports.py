"""The import of a raw image beside `qemu-img convert` of the same file, in the same minutes; then machines made from it.

The image comes from a web server on the loopback, through the API, until it is `available`. Before and after, and never at
the same time, `qemu-img` turns the same file into qcow2 by itself.
"""

import http.server
import json
import os
import pathlib
import shutil
import signal
import socket
import statistics
import subprocess
import tempfile
import threading
import time
import urllib.request

TOKEN = "dop_v1_bench"
GIB = 1 << 30


class Handler(http.server.BaseHTTPRequestHandler):
    """Gives the one file to everyone, as fast as the kernel can."""

    image = None

    def do_GET(self):
        with open(self.image, "rb") as image:
            size = os.fstat(image.fileno()).st_size
            self.send_response(200)
            self.send_header("Content-Length", str(size))
            self.send_header("ETag", '"bench"')
            self.end_headers()
            self.wfile.flush()
            self.connection.sendfile(image)

    def log_message(self, *_):
        pass


class Server:
    """A server of its own with the QEMU engine, which may fetch from the loopback."""

    def __init__(self, binary, directory):
        self.data = directory / "data"
        self.data.mkdir(mode=0o711)
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        settings = directory / "dew.toml"
        settings.write_text('[images]\nallow_from = ["127.0.0.0/8"]\n')
        environment = {**os.environ, "DEW_BOOTSTRAP_TOKEN": TOKEN, "DEW_LOG": "error"}
        command = [binary, "serve", "--engine", "qemu", "--config", settings, "--data-dir", self.data]
        self.process = subprocess.Popen([*command, "--listen", f"127.0.0.1:{self.port}"], env=environment)
        deadline = time.perf_counter() + 60
        while True:
            try:
                self.call("GET", "/v2/account")
                return
            except OSError:
                if self.process.poll() is not None or time.perf_counter() > deadline:
                    raise SystemExit("the server with the QEMU engine does not answer") from None
                time.sleep(0.05)

    def call(self, method, path, body=None):
        request = urllib.request.Request(f"http://127.0.0.1:{self.port}{path}", method=method)
        request.add_header("Authorization", f"Bearer {TOKEN}")
        data = None
        if body is not None:
            request.add_header("Content-Type", "application/json")
            data = json.dumps(body).encode()
        with urllib.request.urlopen(request, data, timeout=30) as answer:
            return json.loads(answer.read() or "{}")

    def imported(self, url):
        """Fetches an image; answers its number and how long that took, in seconds."""
        started = time.perf_counter()
        wanted = {"name": "bench", "url": url, "region": "nyc3", "distribution": "Debian"}
        image = self.call("POST", "/v2/images", wanted)["image"]
        while image["status"] != "available":
            if image.get("error_message"):
                raise SystemExit(f"the import failed: {image['error_message']}")
            time.sleep(0.05)
            image = self.call("GET", f"/v2/images/{image['id']}")["image"]
        return image["id"], time.perf_counter() - started

    def disk_ms(self, image):
        """How long a Droplet's disk takes from its acceptance until it is made, in milliseconds; the median of five."""
        taken = []
        for _ in range(5):
            wanted = {"name": "bench", "region": "nyc3", "size": "s-1vcpu-512mb-10gb", "image": image}
            answer = self.call("POST", "/v2/droplets", wanted)
            action = answer["links"]["actions"][0]["id"]
            while (story := self.call("GET", f"/dew/v1/actions/{action}"))["action"]["status"] == "in-progress":
                time.sleep(0.02)
            taken += [step["after_ms"] for step in story["timeline"] if step["step"] == "ensure"]
            self.call("DELETE", f"/v2/droplets/{answer['droplet']['id']}")
            # Its guest goes with its machine, and would take a processor from the next.
            while self.call("GET", "/v2/actions?per_page=1")["actions"][0]["status"] == "in-progress":
                time.sleep(0.02)
        return statistics.median(taken)

    def stop(self):
        self.process.send_signal(signal.SIGTERM)
        if self.process.wait(timeout=60) != 0:
            raise SystemExit("the server did not end well")
        # Guests outlive their server; where the benchmark broke off, some may be left.
        for run in self.data.glob("machines/*/run.json"):
            process = json.loads(run.read_text())["process"]
            if process:
                subprocess.run(["kill", str(process["pid"])], check=False, stderr=subprocess.DEVNULL)


def make_image(path, mib):
    """A disk full of what does not pack, with a partition table's mark."""
    noise = os.urandom(16 << 20)
    with open(path, "wb") as image:
        for number in range(mib // 16):
            image.write(number.to_bytes(8, "little") + noise[8:])
        image.seek(510)
        image.write(b"\x55\xaa")
        image.flush()
        os.fsync(image.fileno())


def convert_seconds(image, *options):
    made = image.with_name("converted")
    started = time.perf_counter()
    subprocess.run(["qemu-img", "convert", "-f", "raw", "-O", "qcow2", *options, image, made], check=True)
    seconds = time.perf_counter() - started
    made.unlink()
    return seconds


def bench_import(binary, directory, gib, row):
    top = pathlib.Path(tempfile.mkdtemp(dir=directory, prefix="dew-import-"))
    top.chmod(0o711)
    server = None
    try:
        needed = (2 * gib + 3) * GIB
        if shutil.disk_usage(top).free < needed:
            return row(f"import of a raw image of {gib} GiB", "not measured", f"needs {needed // GIB} GiB of disk")
        image, small = top / "image.raw", top / "small.raw"
        make_image(image, 1024 * gib)
        make_image(small, 64)
        handler = type("Image", (Handler,), {"image": image})
        web = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
        threading.Thread(target=web.serve_forever, daemon=True).start()
        server = Server(binary, top)
        before = convert_seconds(image)
        url = f"http://127.0.0.1:{web.server_address[1]}/"
        large_id, taken = server.imported(url)
        after = convert_seconds(image)
        direct = convert_seconds(image, "-t", "none")
        handler.image = small
        small_id, _ = server.imported(url)
        disks = [server.disk_ms(small_id), server.disk_ms(large_id), server.disk_ms(small_id), server.disk_ms(large_id)]
        web.shutdown()
    finally:
        if server:
            server.stop()
        shutil.rmtree(top)
    mib = gib * 1024
    row(f"qemu-img convert of {gib} GiB raw, before / after", f"{mib / before:,.0f} / {mib / after:,.0f} MiB/s", "the yardstick")
    row("  the same past the page cache (-t none)", f"{mib / direct:,.0f} MiB/s")
    row("import of it over http, until available", f"{mib / taken:,.0f} MiB/s, {taken:.1f} s")
    row("  beside qemu-img convert", f"{(before + after) / 2 / taken:.2f} x", "aim: 0.8")
    row("  beside qemu-img convert -t none", f"{direct / taken:.2f} x")
    of_small, of_large = (disks[0] + disks[2]) / 2, (disks[1] + disks[3]) / 2
    row("a Droplet's disk from an image of 64 MiB, from its acceptance on", f"{of_small:.0f} ms", "the yardstick")
    row(f"the same from {gib} GiB", f"{of_large:.0f} ms, {of_large / of_small:.2f} x", "aim: 1")
