"""Small things the tests share."""

import base64
import itertools
import os
import struct
import time

import pydantic

DOCUMENTED_IMAGE = "ubuntu-20-04-x64"
DOCUMENTED_SIZE = "s-1vcpu-1gb"
DOCUMENTED_KEY = (289794, "3b:16:e4:bf:8b:00:8b:b8:59:8c:a9:d3:f0:19:fa:45")
DOCUMENTED_VPC = "760e09ef-dc84-11e8-981e-3cfdfeaae000"
GPU_SIZE = "gpu-h100x1-80gb"
GPU_IMAGE = "gpu-h100x1-base"

DEADLINE_SECONDS = 20
POLL_SECONDS = 0.02

_numbers = itertools.count(1)


def fresh_name(stem):
    """A name that no other test uses."""
    return f"{stem}-{os.getpid()}-{next(_numbers)}"


def fresh_public_key():
    """An OpenSSH public key nobody has the private half of."""
    kind = b"ssh-ed25519"
    blob = struct.pack(">I", len(kind)) + kind + struct.pack(">I", 32) + os.urandom(32)
    return f"{kind.decode()} {base64.b64encode(blob).decode()} somebody@example.com"


def eventually(look, until, what):
    """Looks again until `until(seen)` holds, and answers what was seen. Fails after a deadline."""
    deadline = time.monotonic() + DEADLINE_SECONDS
    while True:
        seen = look()
        if until(seen):
            return seen
        assert time.monotonic() < deadline, f"no {what} within {DEADLINE_SECONDS} s; last seen: {seen!r}"
        time.sleep(POLL_SECONDS)


def finish(http, action):
    """Waits for the end of an action over plain HTTP; fails if it errored."""
    seen = eventually(
        lambda: http.get(f"/v2/actions/{action}").json()["action"],
        lambda action: action["status"] != "in-progress",
        f"end of action {action}",
    )
    assert seen["status"] == "completed", seen
    return seen


def undeclared(value, at="$"):
    """Where a pydantic model was sent members that its class does not declare."""
    if isinstance(value, pydantic.BaseModel):
        for name in value.model_extra or {}:
            yield f"{at}.{name}"
        for name in type(value).model_fields:
            yield from undeclared(getattr(value, name), f"{at}.{name}")
    elif isinstance(value, dict):
        for name, member in value.items():
            yield from undeclared(member, f"{at}.{name}")
    elif isinstance(value, list):
        for member in value:
            yield from undeclared(member, f"{at}[]")
