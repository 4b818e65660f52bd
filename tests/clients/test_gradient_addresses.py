"""Floating IPs and their actions, through `gradient` 3.12.2, strict: every answer is read as the client's own models say."""

import gradient
import pytest

from harness import eventually
from test_gradient import checked, client, every_page  # noqa: F401, the client is a fixture


@pytest.fixture
def reserved(client):
    """Reserves addresses as the client does, and gives them up after the test."""
    made = []

    def reserve(**members):
        answer = checked(client.gpu_droplets.floating_ips.create(**members))
        made.append(answer.floating_ip.ip)
        return answer

    yield reserve
    for address in made:
        client.gpu_droplets.floating_ips.delete(address)


def done(client, address, answer):
    """Waits for the end of an address's action, looking at it as the client does."""
    action = checked(answer).action
    assert action.resource_type == "floating_ip"
    actions = client.gpu_droplets.floating_ips.actions
    seen = eventually(
        lambda: checked(actions.retrieve(action.id, floating_ip=address)).action,
        lambda action: action.status != "in-progress",
        f"end of {action.type}",
    )
    assert seen.status == "completed" and seen.completed_at is not None, seen
    return seen.type


def droplet_of_address(client, address):
    """The number of the Droplet it leads to. The client's type for that member may be anything, so it is not read further."""
    return dict(checked(client.gpu_droplets.floating_ips.retrieve(address)).floating_ip.droplet)["id"]


def test_floating_ips_from_first_to_last(client, reserved, droplet_of):
    floating_ips, droplet, other = client.gpu_droplets.floating_ips, droplet_of()["id"], droplet_of()["id"]
    made = reserved(region="nyc3")
    address = made.floating_ip.ip
    assert (made.floating_ip.droplet, made.floating_ip.locked, made.floating_ip.region.slug) == (None, False, "nyc3")
    assert done(client, address, floating_ips.actions.create(address, type="assign", droplet_id=droplet)) == "assign_ip"
    seen = checked(floating_ips.retrieve(address)).floating_ip
    assert droplet_of_address(client, address) == droplet and seen.project_id == made.floating_ip.project_id
    v4 = checked(client.gpu_droplets.retrieve(droplet)).droplet.networks.v4
    assert [entry.type for entry in v4] == ["public", "public", "private"] and v4[1].ip_address == address

    assert done(client, address, floating_ips.actions.create(address, type="assign", droplet_id=other)) == "assign_ip"
    assert droplet_of_address(client, address) == other
    assert done(client, address, floating_ips.actions.create(address, type="unassign")) == "unassign_ip"
    with pytest.raises(gradient.UnprocessableEntityError, match="not assigned"):
        floating_ips.actions.create(address, type="unassign")
    kinds = [action.type for action in checked(floating_ips.actions.list(address)).actions]
    assert kinds == ["unassign_ip", "assign_ip", "assign_ip"]


def test_a_floating_ip_for_a_droplet_tells_its_action(client, reserved, droplet_of):
    droplet = droplet_of()["id"]
    made = reserved(droplet_id=droplet)
    assert made.links.droplets[0].id == droplet and made.links.actions[0].rel == "assign_ip"
    action = made.links.actions[0].id
    actions = client.gpu_droplets.floating_ips.actions
    address = made.floating_ip.ip
    eventually(
        lambda: checked(actions.retrieve(action, floating_ip=address)).action.status,
        lambda status: status == "completed",
        "end of assign_ip",
    )
    associated = checked(client.gpu_droplets.destroy_with_associated_resources.list(droplet))
    assert [one.id for one in associated.floating_ips] == [address] == [one.name for one in associated.reserved_ips]


def test_floating_ips_are_listed_page_by_page(client, reserved):
    addresses = {reserved(region="nyc3").floating_ip.ip for _ in range(3)}
    listing = lambda **paging: client.gpu_droplets.floating_ips.list(**paging)
    assert addresses <= {one.ip for answer in every_page(listing, per_page=2) for one in answer.floating_ips}
    with pytest.raises(gradient.NotFoundError):
        client.gpu_droplets.floating_ips.retrieve("192.0.2.1")
