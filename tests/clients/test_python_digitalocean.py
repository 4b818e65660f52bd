"""`python-digitalocean` 1.17.0, the older community library: environment variables, trailing slashes, 200 to a page."""

import digitalocean
import pytest

from harness import DOCUMENTED_IMAGE, DOCUMENTED_KEY, DOCUMENTED_SIZE, fresh_name, fresh_public_key

# The library looks first and sleeps between its looks; a simulated machine is done at the first look or the second.
LOOKS = {"update_every_seconds": 0.05, "repeat": 200}


@pytest.fixture
def manager(monkeypatch, url, token):
    monkeypatch.setenv("DIGITALOCEAN_END_POINT", f"{url}/v2/")
    monkeypatch.setenv("DIGITALOCEAN_ACCESS_TOKEN", token)
    return digitalocean.Manager()


@pytest.fixture
def droplet(manager, token):
    droplet = digitalocean.Droplet(
        token=token, name=fresh_name("old"), region="nyc3", image=DOCUMENTED_IMAGE, size_slug=DOCUMENTED_SIZE,
        ssh_keys=list(DOCUMENTED_KEY), backups=True, ipv6=True, monitoring=True, tags=["web"], user_data="foobar",
    )
    droplet.create()
    for action in droplet.get_actions():
        assert action.type == "create" and action.wait(**LOOKS)
    droplet.load()
    yield droplet
    if droplet.id:
        droplet.destroy()


def test_a_droplet_is_made_and_loads_with_its_addresses(manager, droplet):
    assert droplet.status == "active" and droplet.tags == ["web"]
    assert droplet.ip_address and droplet.private_ip_address and droplet.ip_v6_address
    assert droplet.backups and droplet.ipv6 and droplet.private_networking
    assert droplet.get_action(droplet.action_ids[0]).status == "completed"
    assert manager.get_droplet(droplet.id).name == droplet.name


def test_actions_are_waited_for(droplet):
    for act, status in [
        (droplet.power_off, "off"), (droplet.power_on, "active"), (droplet.reboot, "active"),
        (droplet.power_cycle, "active"), (droplet.shutdown, "off"), (droplet.power_on, "active"),
    ]:
        assert act(return_dict=False).wait(**LOOKS)
        assert droplet.load().status == status, act.__name__
    name = fresh_name("renamed")
    assert droplet.rename(name, return_dict=False).wait(**LOOKS)
    assert droplet.load().name == name


def test_create_multiple_and_the_list_by_tag(manager, token, droplet):
    tag, names = fresh_name("many"), [fresh_name("many") for _ in range(3)]
    made = digitalocean.Droplet.create_multiple(
        token=token, names=names, region="nyc3", image=DOCUMENTED_IMAGE, size_slug=DOCUMENTED_SIZE, tags=[tag],
    )
    assert [one.name for one in made] == names
    listed = manager.get_all_droplets(tag_name=tag)
    assert sorted(one.name for one in listed) == names
    assert droplet.id in [one.id for one in manager.get_all_droplets()]
    for one in listed:
        for action in one.get_actions():
            assert action.wait(**LOOKS)
        one.destroy()
    assert manager.get_all_droplets(tag_name=tag) == []


def test_ssh_keys(manager, token):
    public = fresh_public_key()
    key = digitalocean.SSHKey(token=token, name="laptop", public_key=public)
    key.create()
    assert digitalocean.SSHKey(token=token).load_by_pub_key(public).id == key.id
    assert manager.get_ssh_key(key.id).name == "laptop"
    key.name = "other"
    key.edit()
    assert "other" in [one.name for one in manager.get_all_sshkeys()]
    key.destroy()
    with pytest.raises(digitalocean.NotFoundError):
        manager.get_ssh_key(key.id)


def test_a_droplet_with_a_public_key_nobody_added_yet(token, manager):
    public = fresh_public_key()
    droplet = digitalocean.Droplet(
        token=token, name=fresh_name("key"), region="nyc3", image=DOCUMENTED_IMAGE, size_slug=DOCUMENTED_SIZE,
        ssh_keys=[public],
    )
    droplet.create()
    for action in droplet.get_actions():
        assert action.wait(**LOOKS)
    droplet.destroy()
    digitalocean.SSHKey(token=token).load_by_pub_key(public).destroy()


def test_tags(manager, token, droplet):
    tag = digitalocean.Tag(token=token, name=fresh_name("tag"))
    tag.create()
    tag.add_droplets([droplet])
    assert tag.load().resources["droplets"]["count"] == 1
    assert tag.name in droplet.load().tags
    tag.remove_droplets([droplet.id])
    assert tag.load().resources["droplets"]["count"] == 0
    assert tag.name in [one.name for one in manager.get_all_tags()]
    tag.delete()
    with pytest.raises(digitalocean.NotFoundError):
        tag.load()


def test_volumes(manager, token):
    volume = digitalocean.Volume(token=token, name=fresh_name("volume"), region="nyc3", size_gigabytes=10)
    volume.create()
    assert volume.load().region["slug"] == "nyc3"
    assert volume.id in [one.id for one in manager.get_all_volumes(region="nyc3")]
    assert manager.get_volume(volume.id).size_gigabytes == 10
    with pytest.raises(digitalocean.DataReadError, match="already exists"):
        digitalocean.Volume(token=token, name=volume.name, region="nyc3", size_gigabytes=10).create()
    volume.destroy()


def test_account_and_catalogue_page_by_page(manager, monkeypatch):
    assert manager.get_account().status == "active"
    assert "nyc3" in [region.slug for region in manager.get_all_regions()]
    assert DOCUMENTED_SIZE in [size.slug for size in manager.get_all_sizes()]
    image = manager.get_image(DOCUMENTED_IMAGE)
    assert image.id in [one.id for one in manager.get_distro_images()]
    assert {one.id for one in manager.get_global_images()} == {one.id for one in manager.get_all_images() if one.public}
    assert manager.get_my_images() == []
    assert "nyc3" in [vpc.region for vpc in manager.get_all_vpcs()]

    by_threes = manager.get_data("sizes/", params={"per_page": 3})
    assert len(by_threes["sizes"]) == by_threes["meta"]["total"], "it follows the links by itself"


def test_refusals_are_its_exceptions(manager, token, droplet):
    with pytest.raises(digitalocean.NotFoundError):
        manager.get_droplet(1)
    with pytest.raises(digitalocean.DataReadError, match="Unable to authenticate you."):
        digitalocean.Manager(token="dop_v1_nobody").get_account()
    with pytest.raises(digitalocean.DataReadError, match="Only valid hostname characters are allowed."):
        droplet.rename("two words")
