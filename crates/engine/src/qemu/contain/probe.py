# What a guest that broke out of its QEMU would try, run in QEMU's place and held as QEMU is. Reads what there is to try from
# its argument, says as JSON which rows were reached. Rows have the names they have in docs/security.md.
import ctypes
import json
import os
import signal
import socket
import sys

there = json.loads(sys.argv[1])
libc = ctypes.CDLL(None, use_errno=True)


def read(path):
    with open(path, "rb") as file:
        file.read(16)


def write(path):
    with open(path, "r+b") as file:
        first = file.read(1)
        file.seek(0)
        file.write(first)


def grow(path):
    with open(path, "r+b") as file:
        file.seek(0, os.SEEK_END)
        file.write(b"\0" * (1 << 20))


def unix(path):
    with socket.socket(socket.AF_UNIX) as end:
        end.settimeout(10)
        end.connect(path)


def tcp(port, address="127.0.0.1"):
    with socket.socket() as end:
        end.settimeout(10)
        end.connect((address, port))


def listen(port):
    with socket.socket() as end:
        end.bind(("127.0.0.1", port))
        end.listen()


def udp(port):
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as end:
        end.sendto(b"hello", ("127.0.0.1", port))


def call(number):
    if number < 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))


def look_into(pid):
    attach, detach = 16, 17
    call(libc.ptrace(attach, pid, None, None))
    os.waitpid(pid, 0)
    libc.ptrace(detach, pid, None, None)


def rights():
    try:
        os.setuid(0)
    except OSError:
        call(libc.mount(b"x", b"/usr", b"tmpfs", 0, None))


def tries(row):
    """Each way to reach a row; one that works is enough."""
    match row:
        case "files of the host":
            return [(read, path) for path in there["host_files"]]
        case "dew's store, tokens and settings":
            return [(read, path) for path in there["dew_files"]]
        case "another machine's files":
            return [(read, path) for path in there["other_files"]]
        case "another machine's sockets: monitor, console, report, agent":
            return [(unix, path) for path in there["other_sockets"]]
        case "a volume of another machine":
            return [(read, there["other_volume"])]
        case "images that its disks do not lead to":
            return [(read, path) for path in there["other_layer"]]
        case "its own machine's records":
            return [(write, path) for path in there["own_records"]]
        case "changing what lies beneath its disks":
            return [(write, path) for path in there["own_beneath"]]
        case "reading what lies beneath its disks":
            return [(read, path) for path in there["own_beneath"]]
        case "its own disk, seed and volumes":
            return [(write, path) for path in there["own_files"]]
        case "the data disk's free space":
            return [(grow, there["own_seed"])]
        case "processes of the host, dew's own among them":
            return [(look_into, there["host_process"]), (lambda pid: os.kill(pid, 0), there["host_process"])]
        case "another machine's process":
            return [(look_into, there["other_process"]), (lambda pid: os.kill(pid, 0), there["other_process"])]
        case "TCP, such as dew's API and other machines' ports":
            return [(tcp, there["tcp"])]
        case "listening on TCP ports that are not its own":
            return [(listen, there["free_port"])]
        case "UDP":
            return [(udp, there["udp"])]
        case "Unix sockets of the host that are open to all":
            return [(unix, there["unix"])]
        case "abstract Unix sockets":
            return [(unix, "\0" + there["abstract"])]
        case "another user's rights, mounting":
            return [(lambda _: rights(), None)]


def reached(row):
    problems = []
    for way, argument in tries(row):
        try:
            way(argument)
            return {"reached": True, "by": f"{way.__name__} {argument}"}
        except OSError as problem:
            problems.append(str(problem))
    return {"reached": False, "by": "; ".join(problems)}


signal.alarm(120)
print(json.dumps({row: reached(row) for row in there["rows"] if tries(row)}))
