"""The benchmark behind `make bench`: what the server does beside what the machine does, in the same minutes.

Needs the release binary, wrk, and Python's standard library. Everything it makes is below a temporary directory on the disk
of --dir (the disk matters: each create is synced to it) and is gone afterwards.
"""

import argparse
import json
import os
import pathlib
import platform
import signal
import socket
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request

from imports import bench_import
from restore import bench_events, bench_restore

HERE = pathlib.Path(__file__).resolve().parent
TOKEN = "dop_v1_bench"


class Server:
    """A server of its own on a free port and an empty data directory."""

    def __init__(self, binary, directory):
        self.data = pathlib.Path(tempfile.mkdtemp(dir=directory, prefix="dew-"))
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        environment = {**os.environ, "DEW_BOOTSTRAP_TOKEN": TOKEN, "DEW_LOG": "warn"}
        command = [binary, "serve", "--engine", "sim", "--data-dir", self.data, "--listen", f"127.0.0.1:{self.port}"]
        started = time.perf_counter()
        self.process = subprocess.Popen(command, env=environment)
        self.first_answer_ms = 1000 * (self._until_healthy(started) - started)

    def _until_healthy(self, started):
        request = b"GET /healthz HTTP/1.1\r\nhost: bench\r\nconnection: close\r\n\r\n"
        while time.perf_counter() - started < 10:
            try:
                with socket.create_connection(("127.0.0.1", self.port), timeout=5) as connection:
                    connection.sendall(request)
                    if b" 200 " in connection.recv(64):
                        return time.perf_counter()
            except ConnectionRefusedError:
                pass
        raise SystemExit("the server did not answer within 10 s")

    def get(self, path):
        request = urllib.request.Request(f"http://127.0.0.1:{self.port}{path}")
        request.add_header("Authorization", f"Bearer {TOKEN}")
        with urllib.request.urlopen(request, timeout=30) as answer:
            return json.load(answer)

    def post(self, path, body):
        request = urllib.request.Request(f"http://127.0.0.1:{self.port}{path}", json.dumps(body).encode(), method="POST")
        request.add_header("Authorization", f"Bearer {TOKEN}")
        with urllib.request.urlopen(request, timeout=60) as answer:
            return json.load(answer)

    def idle(self):
        """Waits until no action is in progress."""
        while self.backlog():
            time.sleep(0.01)

    def resident_mib(self):
        for line in pathlib.Path(f"/proc/{self.process.pid}/status").read_text().splitlines():
            if line.startswith("VmRSS"):
                return int(line.split()[1]) / 1024
        return float("nan")

    def cpu_seconds(self):
        fields = pathlib.Path(f"/proc/{self.process.pid}/stat").read_text().rsplit(") ", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def backlog(self):
        """Actions still in progress, read from the store beside the server."""
        with sqlite3.connect(f"file:{self.data}/dewpoint.db?mode=ro", uri=True) as store:
            return store.execute("SELECT COUNT(*) FROM actions WHERE status = 'in-progress'").fetchone()[0]

    def wrk(self, script, seconds, connections, *arguments, threads=1):
        command = ["wrk", f"-t{threads}", f"-c{connections}", f"-d{seconds}s", "-s", HERE / script]
        command += [f"http://127.0.0.1:{self.port}", "--", TOKEN, *map(str, arguments)]
        output = subprocess.run(command, check=True, capture_output=True, text=True).stdout
        line = next(line for line in output.splitlines() if line.startswith("RESULT "))
        result = json.loads(line.removeprefix("RESULT "))
        result["rate"] = result["requests"] / result["seconds"]
        return result

    def stop(self):
        self.process.send_signal(signal.SIGTERM)
        if self.process.wait(timeout=60) != 0:
            raise SystemExit("the server did not end well")
        subprocess.run(["rm", "-rf", self.data], check=True)


def raw_commits(directory, seconds=3.0):
    """SQLite's own rate of one-row commits here and now: WAL, synchronous=FULL, one connection."""
    with tempfile.TemporaryDirectory(dir=directory) as scratch:
        store = sqlite3.connect(f"{scratch}/raw.db", isolation_level=None)
        store.execute("PRAGMA journal_mode = WAL")
        store.execute("PRAGMA synchronous = FULL")
        store.execute("CREATE TABLE rows (id INTEGER PRIMARY KEY, body TEXT)")
        body, count, end = "x" * 300, 0, time.perf_counter() + seconds
        while time.perf_counter() < end:
            store.execute("INSERT INTO rows (body) VALUES (?)", (body,))
            count += 1
        store.close()
    return count / seconds


def row(name, value, aim=""):
    print(f"{name:<58} {value:>22}   {aim}")


def figures(result):
    return f"{result['rate']:,.0f}/s p99 {result['p99_ms']:.1f} ms"


def bench_start(binary, directory):
    times, memory = [], []
    for _ in range(10):
        server = Server(binary, directory)
        times.append(server.first_answer_ms)
        memory.append(server.resident_mib())
        server.stop()
    row("start to first 200, empty data dir, median of 10", f"{statistics.median(times):.1f} ms", "aim: under 24 ms")
    row("resident memory then, median of 10", f"{statistics.median(memory):.1f} MiB", "aim: under 18 MiB")


def bench_create(binary, directory, seconds):
    before = raw_commits(directory)
    server = Server(binary, directory)
    server.wrk("create.lua", 2, 32)
    cpu, backlogs, total, parts = server.cpu_seconds(), [], 0, []
    # In parts, to see that completions keep pace and the rate does not fall as the store grows.
    for _ in range(max(1, seconds // 5)):
        part = server.wrk("create.lua", 5, 32)
        if part["failed"]:
            raise SystemExit(f"{part['failed']} creates failed")
        parts.append(part)
        backlogs.append(server.backlog())
        total += part["requests"]
    cpu = server.cpu_seconds() - cpu
    rate = total / sum(part["seconds"] for part in parts)
    worst = max(part["p99_ms"] for part in parts)
    after = raw_commits(directory)
    raw = (before + after) / 2
    row("raw SQLite commits, WAL + FULL, before / after", f"{before:,.0f} / {after:,.0f} /s", "the yardstick")
    row(f"durable POST /v2/droplets, 32 connections, {seconds} s", f"{rate:,.0f}/s", "aim: 9,000/s")
    row("  worst p99 of 5 s", f"{worst:.1f} ms", "aim: under 20 ms")
    row("  beside raw commits", f"{rate / raw:.1f} x")
    row("  slowest and fastest 5 s", f"{min(p['rate'] for p in parts):,.0f} - {max(p['rate'] for p in parts):,.0f} /s")
    row("  actions in progress after each 5 s, most", f"{max(backlogs)}", "aim: flat")
    row("  processor time of the server per create", f"{1e6 * cpu / total:.0f} us")
    row("  resident memory after it", f"{server.resident_mib():.1f} MiB")
    server.stop()


def bench_once(binary, directory, seconds):
    """Creates that can be known again beside those that cannot, in turns and on one server, so that all meet the same minute."""
    names = {"none": "durable creates without a mark", "count": "with an SDK's retry count", "key": "with an Idempotency-Key"}
    server, parts, commits = Server(binary, directory), {mark: [] for mark in names}, []
    server.wrk("create.lua", 2, 32)
    for turn in range(max(3, seconds // 6)):
        commits.append(raw_commits(directory, 1.0))
        for mark in names:
            server.idle()
            before = server.cpu_seconds()
            part = server.wrk("create.lua", 2, 32, 1, mark, turn)
            if part["failed"]:
                raise SystemExit(f"{part['failed']} creates failed")
            server.idle()
            parts[mark].append((part["rate"], 1e6 * (server.cpu_seconds() - before) / part["requests"]))
    raw = statistics.median(commits)
    row("raw SQLite commits, WAL + FULL, between the turns, median", f"{raw:,.0f}/s", "the yardstick")
    for mark, name in names.items():
        # Neighbours in time are compared, and the median of that: other work on the machine strikes both.
        beside = statistics.median(part[0] / none[0] for part, none in zip(parts[mark], parts["none"]))
        rate, spent = (statistics.median(values) for values in zip(*parts[mark]))
        row(name, f"{rate:,.0f}/s, {spent:.0f} us", f"{rate / raw:.2f} x raw, {beside:.2f} x without a mark")
    server.stop()


def fill(server, wanted):
    while (have := server.get("/v2/droplets?per_page=1")["meta"]["total"]) < wanted:
        server.wrk("create.lua", max(1, min(5, (wanted - have) // 20_000)), 8, 10)
    return have


def bench_list(binary, directory, seconds):
    server = Server(binary, directory)
    for wanted in (10_000, 100_000):
        have = fill(server, wanted)
        for name, page in (("first", 1), ("deep", have // 20 - 3)):
            result = server.wrk("get.lua", seconds, 32, f"/v2/droplets?page={page}&per_page=20")
            aim = "aim: 5,000/s, flat" if page == 1 else "aim: as the first page"
            row(f"GET /v2/droplets, {name} page of 20 out of {have:,}", figures(result), aim)
    server.stop()


def bench_snapshots(binary, directory, seconds):
    """10,000 snapshots of 200 Droplets, beside 10,000 Droplets in the same minute."""
    server = Server(binary, directory)
    size, image = "s-1vcpu-1gb", "ubuntu-22-04-x64"
    for _ in range(20):
        body = {"names": ["web"] * 10, "region": "nyc3", "size": size, "image": image, "tags": ["bench"]}
        server.post("/v2/droplets", body)
    server.idle()
    began = time.perf_counter()
    for _ in range(50):
        server.post("/v2/droplets/actions?tag_name=bench", {"type": "snapshot"})
        server.idle()
    taken = time.perf_counter() - began
    row("10,000 snapshots taken, 200 Droplets at a time", f"{10_000 / taken:,.0f}/s")
    fill(server, 10_000)
    # Not the first page: its Droplets have fifty snapshots each to name.
    droplets = server.wrk("get.lua", seconds, 32, "/v2/droplets?page=300&per_page=20")
    row("GET /v2/droplets, a page of 20 out of 10,000", figures(droplets), "the yardstick")
    total = server.get("/v2/snapshots?per_page=1")["meta"]["total"]
    for name, page in (("first", 1), ("deep", total // 20 - 3)):
        result = server.wrk("get.lua", seconds, 32, f"/v2/snapshots?page={page}&per_page=20")
        row(f"GET /v2/snapshots, {name} page of 20 out of {total:,}", figures(result), "aim: as Droplets")
        row("  beside Droplets", f"{result['rate'] / droplets['rate']:.2f} x")
    server.stop()


def bench_placement(binary):
    """Where Droplets go among 1,000 hosts of 8 GPUs: the scheduler alone, which an example beside the binary measures."""
    example = pathlib.Path(binary).parent / "examples" / "placement_speed"
    told = subprocess.run([example], check=True, capture_output=True, text=True).stdout
    for line in told.splitlines():
        what, figure, aim = line.split(" | ")
        row(what, figure, aim)


def main():
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--binary", required=True)
    arguments.add_argument("--dir", default=".", help="a directory on the disk to measure")
    parts = ["start", "create", "once", "list", "snapshots", "restore", "events", "placement", "import"]
    arguments.add_argument("--only", choices=parts, help="one part and not all")
    arguments.add_argument("--import-gib", type=int, default=2, help="how large the imported image is; 0 for none")
    arguments.add_argument("--seconds", type=int, default=30, help="how long creates are measured")
    asked = arguments.parse_args()
    processor = next(
        (line.split(":", 1)[1].strip() for line in open("/proc/cpuinfo") if line.startswith("model name")), "unknown"
    )
    print(f"{os.cpu_count()} processors ({processor}), Linux {platform.release()}, SQLite {sqlite3.sqlite_version} for raw")
    print(f"load average before: {os.getloadavg()[0]:.2f}; the load generator shares the processors\n")
    parts = {
        "start": lambda: bench_start(asked.binary, asked.dir),
        "create": lambda: bench_create(asked.binary, asked.dir, asked.seconds),
        "once": lambda: bench_once(asked.binary, asked.dir, asked.seconds),
        "list": lambda: bench_list(asked.binary, asked.dir, 5),
        "snapshots": lambda: bench_snapshots(asked.binary, asked.dir, 5),
        "restore": lambda: bench_restore(lambda: Server(asked.binary, asked.dir), TOKEN, row),
        "events": lambda: bench_events(lambda: Server(asked.binary, asked.dir), TOKEN, row),
        "placement": lambda: bench_placement(asked.binary),
        "import": lambda: asked.import_gib and bench_import(asked.binary, asked.dir, asked.import_gib, row),
    }
    for name, part in parts.items():
        if asked.only in (None, name):
            part()


if __name__ == "__main__":
    sys.exit(main())
