"""Firewalls through `gradient` 3.12.2, strict: `.firewalls` with its Droplets, tags and rules, and `list_firewalls` of a Droplet."""

import gradient
import pytest

from harness import eventually, fresh_name
from test_gradient import checked, client, every_page  # noqa: F401, the client is a fixture

EVERYWHERE = {"addresses": ["0.0.0.0/0", "::/0"]}
SSH = {"protocol": "tcp", "ports": "22", "sources": EVERYWHERE}


@pytest.fixture
def firewall(client):
    """One that lets SSH in, everything out, and guards nobody."""
    body = {
        "name": fresh_name("wall"), "inbound_rules": [SSH],
        "outbound_rules": [{"protocol": "tcp", "ports": "all", "destinations": EVERYWHERE}],
    }
    return checked(client.gpu_droplets.firewalls.create(body=body)).firewall


def in_force(client, firewall):
    """Waits until it is."""
    return eventually(
        lambda: checked(client.gpu_droplets.firewalls.retrieve(firewall.id)).firewall,
        lambda seen: seen.status == "succeeded",
        "firewall in force",
    )


def test_a_firewall_from_first_to_last(client, firewall, droplet_of):
    firewalls, droplet = client.gpu_droplets.firewalls, droplet_of()["id"]
    assert firewall.status == "waiting" and firewall.created_at is not None
    assert in_force(client, firewall).pending_changes == []
    sources = {"addresses": ["192.0.2.0/24"], "droplet_ids": [droplet], "load_balancer_uids": ["lb"], "kubernetes_ids": ["k8s"]}
    wanted = {
        "name": f"{firewall.name}-2", "droplet_ids": [droplet], "tags": None,
        "inbound_rules": [{"protocol": "udp", "ports": "8000-9000", "sources": sources}], "outbound_rules": None,
    }
    replaced = checked(firewalls.update(firewall.id, firewall=wanted)).firewall
    assert (replaced.name, replaced.droplet_ids, replaced.tags, replaced.outbound_rules) == (wanted["name"], [droplet], [], [])
    assert [change.droplet_id for change in replaced.pending_changes] == [droplet]
    rule = replaced.inbound_rules[0]
    assert (rule.protocol, rule.ports, rule.sources.droplet_ids) == ("udp", "8000-9000", [droplet])
    assert (rule.sources.load_balancer_uids, rule.sources.kubernetes_ids) == (["lb"], ["k8s"])
    in_force(client, firewall)
    guarding = checked(client.gpu_droplets.list_firewalls(droplet)).firewalls
    assert [one.id for one in guarding] == [firewall.id]

    assert firewall.id in [one.id for answer in every_page(firewalls.list, per_page=1) for one in answer.firewalls]
    firewalls.delete(firewall.id)
    with pytest.raises(gradient.NotFoundError):
        firewalls.retrieve(firewall.id)
    assert checked(client.gpu_droplets.list_firewalls(droplet)).firewalls == []


def test_droplets_tags_and_rules_are_added_and_removed(client, firewall, droplet_of):
    firewalls, tag = client.gpu_droplets.firewalls, fresh_name("tag")
    one, other = droplet_of(tags=[tag])["id"], droplet_of()["id"]
    now = lambda: checked(firewalls.retrieve(firewall.id)).firewall
    firewalls.droplets.add(firewall.id, droplet_ids=[one, other])
    firewalls.droplets.remove(firewall.id, droplet_ids=[one])
    firewalls.tags.add(firewall.id, tags=[tag])
    assert (now().droplet_ids, now().tags) == ([other], [tag])
    assert [wall.id for wall in checked(client.gpu_droplets.list_firewalls(one)).firewalls] == [firewall.id], "by its tag"
    firewalls.tags.remove(firewall.id, tags=[tag])
    assert checked(client.gpu_droplets.list_firewalls(one)).firewalls == []

    ping = {"protocol": "icmp", "ports": "0", "sources": {"droplet_ids": [one]}}
    firewalls.rules.add(firewall.id, inbound_rules=[ping])
    assert [rule.protocol for rule in now().inbound_rules] == ["tcp", "icmp"]
    firewalls.rules.remove(firewall.id, inbound_rules=[SSH])
    assert [rule.protocol for rule in now().inbound_rules] == ["icmp"]
    with pytest.raises(gradient.UnprocessableEntityError, match="no rule of this firewall"):
        firewalls.rules.remove(firewall.id, inbound_rules=[SSH])
    in_force(client, firewall)
    firewalls.delete(firewall.id)


def test_refusals_have_their_exceptions(client, firewall):
    firewalls = client.gpu_droplets.firewalls
    with pytest.raises(gradient.ConflictError, match="duplicate name"):
        firewalls.create(body={"name": firewall.name, "inbound_rules": [SSH]})
    with pytest.raises(gradient.UnprocessableEntityError, match="at least one rule"):
        firewalls.create(body={"name": fresh_name("wall")})
    with pytest.raises(gradient.UnprocessableEntityError, match="0-70000"):
        firewalls.create(body={"name": fresh_name("wall"), "inbound_rules": [SSH | {"ports": "0-70000"}]})
    with pytest.raises(gradient.UnprocessableEntityError, match="there is no Droplet 1"):
        firewalls.droplets.add(firewall.id, droplet_ids=[1])
    with pytest.raises(gradient.UnprocessableEntityError, match="there is no tag"):
        firewalls.tags.add(firewall.id, tags=[fresh_name("none")])
    with pytest.raises(gradient.NotFoundError):
        firewalls.delete("00000000-0000-4000-8000-000000000000")
    firewalls.delete(firewall.id)
