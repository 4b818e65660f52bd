"""Custom images: fetched from an address, and booted. Hostile ones are refused and leave nothing."""

import bz2
import gzip
import http.server
import subprocess
import threading

import gradient
import pytest

from guest import eventually

WORDS = "the imported image has booted"


def boot_sector():
    """The first sector of a disk that prints WORDS on the first serial port and halts."""
    program = bytes.fromhex(
        "fa 31c0 8ed8 be1f7c"  # no interrupts; data segment 0; the text, 31 bytes after the start
        "ac 84c0 7406 baf803 ee ebf5"  # each byte of it until a zero: out to port 3f8h
        "f4 ebfd"  # halt
    )
    return (program.ljust(0x1F, b"\x90") + WORDS.encode() + b"\n\0").ljust(510, b"\0") + b"\x55\xaa"


@pytest.fixture
def served(tmp_path):
    """A loopback web server of a directory: answers the directory and the server's address."""
    directory = tmp_path / "served"
    directory.mkdir()

    class Quiet(http.server.SimpleHTTPRequestHandler):
        def __init__(self, *arguments):
            super().__init__(*arguments, directory=str(directory))

        def log_message(self, *_):
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Quiet) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield directory, f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


def imported(lab, url):
    """Asks for the image and waits until it is available, or came to nothing."""
    asked = lab.client.gpu_droplets.images.create(name=lab.fresh("image"), url=url, region="nyc3").image
    assert asked.status == "NEW"
    return eventually(
        lambda: lab.client.gpu_droplets.images.retrieve(asked.id).image,
        lambda image: image.status in ("available", "deleted"), "image that is available or deleted",
    )


def test_images_of_every_format_boot(lab, served):
    directory, url = served
    raw = directory / "disk.raw"
    raw.write_bytes(boot_sector().ljust(1 << 20, b"\0"))
    for kind in ("qcow2", "vmdk", "vdi", "vhdx"):
        subprocess.run(["qemu-img", "convert", "-O", kind, raw, directory / f"disk.{kind}"], check=True)
    (directory / "disk.raw.gz").write_bytes(gzip.compress(raw.read_bytes()))
    (directory / "disk.qcow2.bz2").write_bytes(bz2.compress((directory / "disk.qcow2").read_bytes()))

    for name in sorted(path.name for path in directory.iterdir()):
        image = imported(lab, f"{url}/{name}")
        assert image.status == "available", (name, lab.http.get(f"/v2/images/{image.id}").text)
        assert image.min_disk_size == 1
        guest = lab.droplet(image=image.id, ready=False)
        log = lab.http.get(f"/dew/v1/droplets/{guest.id}/access").json()["console_log"]

        def console(log=log):
            with open(log, encoding="ascii", errors="replace") as file:
                return file.read()

        eventually(console, lambda text: WORDS in text, f"words of the image {name} on its console", 60)
        lab.client.gpu_droplets.delete(guest.id)


def test_hostile_images_are_refused_with_a_reason(lab, served):
    directory, url = served
    run = lambda *words: subprocess.run(["qemu-img", *words], check=True, cwd=directory, stdout=subprocess.DEVNULL)
    run("create", "-q", "-u", "-f", "qcow2", "-F", "raw", "-b", "/etc/shadow", "backed.qcow2", "1G")
    run("create", "-q", "-f", "qcow2", "-o", "data_file=other.raw", "external.qcow2", "1M")
    run("create", "-q", "-f", "qcow2", "endless.qcow2", "200T")
    (directory / "page.html").write_text("<!DOCTYPE html><title>Not an image</title>", encoding="ascii")
    (directory / "bomb.raw.gz").write_bytes(gzip.compress(b"no disk at all" * 100_000))
    for name in ("backed.qcow2", "external.qcow2", "endless.qcow2", "page.html", "bomb.raw.gz", "missing.raw"):
        image = imported(lab, f"{url}/{name}")
        assert image.status == "deleted", name
        why = lab.http.get(f"/v2/images/{image.id}").json()["image"]["error_message"]
        assert why and "action" not in why, (name, why)
        with pytest.raises(gradient.UnprocessableEntityError):
            lab.client.gpu_droplets.create(
                name="never", region="nyc3", size="s-1vcpu-512mb-10gb", image=image.id)
