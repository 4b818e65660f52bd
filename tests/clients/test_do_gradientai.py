"""The documented sample on the package `do-gradientai` 0.1.0b4: a client with no arguments, two environment variables.

The values are those of the public description's example request for `POST /v2/droplets`.
"""

import pytest
from do_gradientai import GradientAI

from harness import DOCUMENTED_KEY, DOCUMENTED_VPC, eventually


@pytest.fixture
def environment(monkeypatch, url, token):
    monkeypatch.setenv("GRADIENT_AI_BASE_URL", url)
    monkeypatch.setenv("GRADIENTAI_API_KEY", token)


SAMPLE = {
    "region": "nyc3",
    "size": "s-1vcpu-1gb",
    "image": "ubuntu-20-04-x64",
    "ssh_keys": [289794, "3b:16:e4:bf:8b:00:8b:b8:59:8c:a9:d3:f0:19:fa:45"],
    "backups": True,
    "ipv6": True,
    "monitoring": True,
    "tags": ["env:prod", "web"],
    "user_data": "#cloud-config\nruncmd:\n  - touch /test.txt\n",
    "vpc_uuid": "760e09ef-dc84-11e8-981e-3cfdfeaae000",
}


def test_the_documented_sample_makes_a_droplet(environment):
    client = GradientAI()

    created = client.gpu_droplets.create(name="example.com", **SAMPLE)

    droplet = created.droplet
    assert (droplet.name, droplet.status, droplet.size_slug) == ("example.com", "new", "s-1vcpu-1gb")
    assert droplet.image.slug == "ubuntu-20-04-x64"
    assert [action.rel for action in created.links.actions] == ["create"]

    droplet = eventually(
        lambda: client.gpu_droplets.retrieve(droplet.id).droplet,
        lambda droplet: droplet.status == "active",
        "active Droplet",
    )
    assert sorted(droplet.tags) == ["env:prod", "web"]
    assert set(droplet.features) >= {"backups", "ipv6", "monitoring", "private_networking"}
    assert droplet.vpc_uuid == DOCUMENTED_VPC and droplet.region.slug == "nyc3"
    assert sorted(network.type for network in droplet.networks.v4) == ["private", "public"]
    assert len(droplet.networks.v6) == 1 and droplet.next_backup_window is not None
    client.gpu_droplets.delete(droplet.id)


def test_the_documented_sample_with_names_makes_one_droplet_each_in_their_order(environment):
    client = GradientAI()
    names = ["sub-01.example.com", "sub-02.example.com"]

    created = client.gpu_droplets.create(names=names, **SAMPLE)

    assert [droplet.name for droplet in created.droplets] == names
    assert len({action.id for action in created.links.actions}) == 2
    for droplet in created.droplets:
        eventually(
            lambda: client.gpu_droplets.retrieve(droplet.id).droplet.status,
            lambda status: status == "active",
            "active Droplet",
        )
        client.gpu_droplets.delete(droplet.id)


def test_the_documented_objects_are_there_to_be_read(environment):
    client = GradientAI()
    number, fingerprint = DOCUMENTED_KEY
    assert client.gpu_droplets.account.keys.retrieve(number).ssh_key.fingerprint == fingerprint
    assert client.gpu_droplets.account.keys.retrieve(fingerprint).ssh_key.id == number
    assert client.gpu_droplets.images.retrieve("ubuntu-20-04-x64").image.status == "available"
    assert "nyc3" in [region.slug for region in client.regions.list(per_page=200).regions]
