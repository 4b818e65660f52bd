"""Waits until a server that is starting answers, and prints its address.

Arguments: the server's log, which names the address once it is known; its process id, so that a server that ended is not
waited for; and, if it serves HTTPS, its data directory, where the certificate is that it made for itself.
"""

import os
import re
import ssl
import sys
import time

import httpx

DEADLINE_SECONDS = 30


def main():
    log, pid, directories = sys.argv[1], int(sys.argv[2]), sys.argv[3:]
    deadline = time.monotonic() + DEADLINE_SECONDS
    while time.monotonic() < deadline:
        with open(log, encoding="utf-8", errors="replace") as file:
            found = re.search(r"Serving on (https?://[0-9.:]+)", file.read())
        if found and is_well(found[1], *directories):
            print(found[1])
            return 0
        if has_ended(pid):
            sys.exit("the server ended before it answered")
        time.sleep(0.02)
    sys.exit(f"the server did not answer within {DEADLINE_SECONDS} s")


def is_well(address, directory=""):
    trusted = address.startswith("http:") or ssl.create_default_context(cafile=os.path.join(directory, "tls-cert.pem"))
    try:
        return httpx.get(f"{address}/healthz", timeout=5, verify=trusted).status_code == 200
    except httpx.TransportError:
        return False


def has_ended(pid):
    """Whether the process is gone, or is only kept for its parent to ask how it ended."""
    try:
        with open(f"/proc/{pid}/stat", encoding="utf-8", errors="replace") as file:
            return file.read().rpartition(")")[2].split()[0] == "Z"
    except FileNotFoundError:
        return True


if __name__ == "__main__":
    sys.exit(main())
