"""`gradient` 3.12.2 with strict response validation: custom images and their actions."""

import contextlib

import gradient
import pytest
from gradient import Gradient

from harness import eventually, fresh_name
from test_gradient import checked


@pytest.fixture
def client(monkeypatch, url, token):
    monkeypatch.setenv("GRADIENT_BASE_URL", url)
    monkeypatch.setenv("DIGITALOCEAN_ACCESS_TOKEN", token)
    with Gradient(_strict_response_validation=True) as client:
        yield client


@pytest.fixture
def image(client):
    """A custom image asked for through the client, available, and deleted after the test."""
    asked = checked(client.gpu_droplets.images.create(
        name=fresh_name("image"), url="https://images.example.com/own.qcow2", region="nyc3", distribution="Debian",
        description="my own", tags=[fresh_name("tag")],
    )).image
    assert (asked.status, asked.type, asked.public) == ("NEW", "custom", False)
    yield eventually(
        lambda: checked(client.gpu_droplets.images.retrieve(asked.id)).image,
        lambda image: image.status == "available", "image that is available",
    )
    with contextlib.suppress(gradient.NotFoundError, gradient.UnprocessableEntityError):
        client.gpu_droplets.images.delete(asked.id)


def test_a_custom_image_from_first_to_last(client, image):
    assert image.min_disk_size and image.size_gigabytes and image.distribution == "Debian"
    tagged = checked(client.gpu_droplets.images.list(tag_name=image.tags[0])).images
    assert [one.id for one in tagged] == [image.id]
    assert image.id in [one.id for one in checked(client.gpu_droplets.images.list(private=True, per_page=200)).images]
    renamed = checked(client.gpu_droplets.images.update(image.id, name="better", description="d", distribution="Ubuntu"))
    assert (renamed.image.name, renamed.image.distribution) == ("better", "Ubuntu")
    assert checked(client.gpu_droplets.images.retrieve(image.id)).image == renamed.image
    client.gpu_droplets.images.delete(image.id)
    with pytest.raises(gradient.NotFoundError):
        client.gpu_droplets.images.retrieve(image.id)
    with pytest.raises(gradient.UnprocessableEntityError, match="already deleted image"):
        client.gpu_droplets.images.delete(image.id)


def test_an_image_is_transferred_region_by_region(client, image):
    for region in ("ams3", "lon1"):
        asked = client.gpu_droplets.images.actions.create(image.id, type="transfer", region=region)
        assert (asked.type, asked.region_slug, asked.resource_id) == ("transfer", region, image.id)
        eventually(
            lambda: client.gpu_droplets.images.actions.retrieve(asked.id, image_id=image.id),
            lambda action: action.status == "completed", "transfer that is completed",
        )
    assert checked(client.gpu_droplets.images.retrieve(image.id)).image.regions == ["nyc3", "ams3", "lon1"]
    actions = checked(client.gpu_droplets.images.actions.list(image.id)).actions
    assert [action.type for action in actions] == ["transfer", "transfer", "create"]
    with pytest.raises(gradient.UnprocessableEntityError):
        client.gpu_droplets.images.actions.create(image.id, type="convert")
