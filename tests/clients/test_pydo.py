"""`pydo` 0.44.0 over every served operation. It checks no bodies, so the tests look at what it hands out.

The client refuses to send a token over plain HTTP, so it is here as its users have it: over HTTPS, with `dew serve --tls` and
its certificate in REQUESTS_CA_BUNDLE.
"""

import pytest
from azure.core.exceptions import ClientAuthenticationError, HttpResponseError, ResourceExistsError, ServiceRequestError
from pydo import Client

from harness import (
    DOCUMENTED_IMAGE, DOCUMENTED_KEY, DOCUMENTED_SIZE, DOCUMENTED_VPC, GPU_IMAGE, GPU_SIZE,
    eventually, fresh_name, fresh_public_key,
)

BODY = {"region": "nyc3", "size": DOCUMENTED_SIZE, "image": DOCUMENTED_IMAGE}


def connect(url, token):
    return Client(token, endpoint=url, retry_total=0)


@pytest.fixture
def client(tls_url, token, trust):
    return connect(tls_url, token)


def finished(client, action):
    done = eventually(
        lambda: client.actions.get(action["id"])["action"],
        lambda action: action["status"] != "in-progress",
        "end of the action",
    )
    assert done["status"] == "completed", done
    return done


def create(client, **wanted):
    created = client.droplets.create(body={"name": fresh_name("pydo")} | BODY | wanted)
    finished(client, created["links"]["actions"][0])
    return client.droplets.get(created["droplet"]["id"])["droplet"]


def refused(status, call):
    with pytest.raises(HttpResponseError) as caught:
        call()
    assert caught.value.status_code == status
    return caught.value


def test_a_token_over_plain_http_is_the_callers_choice(url, token):
    client = Client(token, endpoint=url)
    with pytest.raises(ServiceRequestError, match="not permitted for non-TLS"):
        client.account.get()
    assert client.account.get(enforce_https=False)["account"]["status"] == "active"


def test_without_the_certificate_nothing_is_sent(tls_url, token):
    with pytest.raises(ServiceRequestError, match="certificate verify failed"):
        connect(tls_url, token).account.get()


def test_droplets_from_first_to_last(client):
    tag = fresh_name("pydo")
    droplet = create(
        client, tags=[tag], ssh_keys=list(DOCUMENTED_KEY), backups=True, ipv6=True, monitoring=True,
        user_data="#!/bin/sh\ntrue\n", vpc_uuid=DOCUMENTED_VPC,
    )
    assert (droplet["status"], droplet["tags"], droplet["vpc_uuid"]) == ("active", [tag], DOCUMENTED_VPC)
    many = client.droplets.create(body={"names": [fresh_name("pydo") for _ in range(3)], "tags": [tag]} | BODY)
    for action in many["links"]["actions"]:
        finished(client, action)

    pages = [client.droplets.list(tag_name=tag, per_page=3, page=page) for page in (1, 2, 3)]
    assert [len(page["droplets"]) for page in pages] == [3, 1, 0]
    assert "page=2" in pages[0]["links"]["pages"]["last"]
    assert client.droplets.list(name=droplet["name"])["droplets"] == [droplet]

    assert client.droplets.destroy(droplet["id"]) is None
    assert client.droplets.get(droplet["id"])["id"] == "not_found", "this client hands out the body of a 404"
    client.droplets.destroy_by_tag(tag_name=tag)
    assert client.droplets.list(tag_name=tag)["meta"]["total"] == 0
    client.tags.delete(tag)


def test_gpu_droplets_are_listed_apart(client):
    droplet = create(client, region="nyc2", size=GPU_SIZE, image=GPU_IMAGE)
    assert droplet["id"] in [one["id"] for one in client.droplets.list(type="gpus", per_page=200)["droplets"]]
    assert droplet["id"] not in [one["id"] for one in client.droplets.list(per_page=200)["droplets"]]
    client.droplets.destroy(droplet["id"])


def test_actions_of_a_droplet_and_of_the_account(client):
    tag = fresh_name("acts")
    droplet = create(client, tags=[tag])["id"]
    for kind in ("power_off", "power_on", "reboot", "power_cycle", "shutdown"):
        action = client.droplet_actions.post(droplet, body={"type": kind})["action"]
        assert finished(client, action)["type"] == kind
        assert client.droplet_actions.get(droplet, action["id"])["action"]["completed_at"]
    finished(client, client.droplet_actions.post(droplet, body={"type": "rename", "name": "new-name"})["action"])
    assert client.droplets.get(droplet)["droplet"]["name"] == "new-name"
    for action in client.droplet_actions.post_by_tag(body={"type": "power_on"}, tag_name=tag)["actions"]:
        finished(client, action)

    listed = client.droplet_actions.list(droplet, per_page=200)
    assert [action["type"] for action in listed["actions"]] == [
        "power_on", "rename", "shutdown", "power_cycle", "reboot", "power_on", "power_off", "create",
    ]
    everything = client.actions.list(per_page=200)["actions"]
    assert listed["actions"][0] in everything
    assert [action["id"] for action in everything] == sorted((one["id"] for one in everything), reverse=True), "PAG-9"
    client.droplets.destroy(droplet)


def test_backup_policies(client):
    droplet = create(client, backups=True)["id"]
    policy = client.droplets.get_backup_policy(droplet)["policy"]
    assert policy == client.droplets.list_backup_policies(per_page=200)["policies"][str(droplet)]
    assert len(client.droplets.list_supported_backup_policies()["supported_policies"]) == 2
    client.droplets.destroy(droplet)


def test_ssh_keys(client):
    public = fresh_public_key()
    made = client.ssh_keys.create(body={"name": "laptop", "public_key": public})["ssh_key"]
    assert client.ssh_keys.get(made["fingerprint"]) == client.ssh_keys.get(made["id"]) == {"ssh_key": made}
    assert client.ssh_keys.update(made["id"], body={"name": "other"})["ssh_key"]["name"] == "other"
    assert made["id"] in [key["id"] for key in client.ssh_keys.list(per_page=200)["ssh_keys"]]
    assert client.ssh_keys.delete(made["id"]) is None
    assert client.ssh_keys.delete(made["id"])["id"] == "not_found"


def test_tags_and_what_carries_them(client):
    name = fresh_name("Tag_")
    assert client.tags.create(body={"name": name})["tag"]["name"] == name
    assert client.tags.create(body={"name": name})["tag"]["name"] == name, "TAG-2"
    droplet = create(client)["id"]
    resources = {"resources": [{"resource_id": str(droplet), "resource_type": "droplet"}]}
    client.tags.assign_resources(name, body=resources)
    client.tags.assign_resources(name, body=resources)
    counted = client.tags.get(name)["tag"]["resources"]
    assert counted["count"] == counted["droplets"]["count"] == 1
    assert counted["droplets"]["last_tagged_uri"].endswith(f"/v2/droplets/{droplet}")
    assert client.droplets.get(droplet)["droplet"]["tags"] == [name]
    assert name in [tag["name"] for tag in client.tags.list(per_page=200)["tags"]]
    client.tags.unassign_resources(name, body=resources)
    assert client.droplets.get(droplet)["droplet"]["tags"] == []
    client.tags.delete(name)
    assert client.tags.get(name)["id"] == "not_found"
    client.droplets.destroy(droplet)


def test_volumes(client):
    name = fresh_name("volume")
    made = client.volumes.create(body={"name": name, "region": "nyc3", "size_gigabytes": 10, "filesystem_type": "xfs"})
    identity = made["volume"]["id"]
    assert client.volumes.get(identity) == made
    assert client.volumes.list(name=name, region="nyc3")["volumes"] == [made["volume"]]
    with pytest.raises(ResourceExistsError):
        client.volumes.create(body={"name": name, "region": "nyc3", "size_gigabytes": 10})
    client.volumes.delete_by_name(name=name, region="nyc3")
    assert client.volumes.get(identity)["id"] == "not_found"
    other = client.volumes.create(body={"name": name, "region": "nyc1", "size_gigabytes": 1})["volume"]["id"]
    assert client.volumes.delete(other) is None


def test_account_catalogue_and_vpcs(client):
    account = client.account.get()["account"]
    assert account["status"] == "active" and account["droplet_limit"] >= 1
    assert "nyc3" in [region["slug"] for region in client.regions.list(per_page=200)["regions"]]
    first, second = (client.sizes.list(per_page=20, page=page) for page in (1, 2))
    slugs = [size["slug"] for size in first["sizes"] + second["sizes"]]
    assert len(slugs) == len(set(slugs)) and "page=1" in second["links"]["pages"]["prev"]
    image = client.images.get(DOCUMENTED_IMAGE)["image"]
    assert client.images.get(image["id"])["image"] == image
    assert image in client.images.list(type="distribution", per_page=200)["images"]
    assert client.vpcs.get(DOCUMENTED_VPC)["vpc"]["default"] is False
    assert DOCUMENTED_VPC in [vpc["id"] for vpc in client.vpcs.list(per_page=200)["vpcs"]]


def test_a_vpc_from_first_to_last(client):
    # The first of a region may become its default, which cannot be deleted.
    client.vpcs.create(body={"name": fresh_name("vpc"), "region": "nyc3"})
    name = fresh_name("vpc")
    vpc = client.vpcs.create(body={"name": name, "region": "nyc3", "ip_range": "192.168.77.0/24"})["vpc"]
    assert (vpc["name"], vpc["ip_range"], vpc["region"]) == (name, "192.168.77.0/24", "nyc3")
    changed = client.vpcs.update(vpc["id"], body={"name": f"{name}-2", "description": "d"})["vpc"]
    assert (changed["name"], changed["description"]) == (f"{name}-2", "d")
    assert client.vpcs.patch(vpc["id"], body={"name": name})["vpc"]["description"] == "d"
    droplet = create(client, vpc_uuid=vpc["id"])["id"]
    members = client.vpcs.list_members(vpc["id"])["members"]
    assert [member["urn"] for member in members] == [f"do:droplet:{droplet}"]
    refused(409, lambda: client.vpcs.delete(vpc["id"]))
    client.droplets.destroy(droplet)
    assert client.vpcs.list_members(vpc["id"])["members"] == []
    client.vpcs.delete(vpc["id"])
    assert client.vpcs.get(vpc["id"])["id"] == "not_found"


def test_vpc_peerings_from_first_to_last(client):
    # The first of a region may become its default, which cannot be deleted.
    client.vpcs.create(body={"name": fresh_name("vpc"), "region": "nyc3"})
    vpcs = [client.vpcs.create(body={"name": fresh_name("vpc"), "region": "nyc3"})["vpc"]["id"] for _ in range(3)]
    name = fresh_name("peering")
    made = client.vpc_peerings.create(body={"name": name, "vpc_ids": vpcs[:2]})["vpc_peering"]
    assert made["status"] == "PROVISIONING" and set(made["vpc_ids"]) == set(vpcs[:2])
    active = lambda one: eventually(
        lambda: client.vpc_peerings.get(one["id"])["vpc_peering"]["status"],
        lambda status: status == "ACTIVE", "the peering in force",
    )
    active(made)
    assert client.vpc_peerings.patch(made["id"], body={"name": f"{name}-2"})["vpc_peering"]["name"] == f"{name}-2"
    below = client.vpcs.create_peerings(vpcs[0], body={"name": f"{name}-3", "vpc_id": vpcs[2]})["peering"]
    active(below)
    assert {one["id"] for one in client.vpcs.list_peerings(vpcs[0])["peerings"]} == {made["id"], below["id"]}
    assert client.vpcs.patch_peerings(vpcs[0], below["id"], body={"name": name})["peering"]["name"] == name
    assert made["id"] in [one["id"] for one in client.vpc_peerings.list(per_page=200)["vpc_peerings"]]
    refused(422, lambda: client.vpc_peerings.create(body={"name": fresh_name("peering"), "vpc_ids": vpcs[:2]}))
    refused(409, lambda: client.vpcs.delete(vpcs[0]))
    for one in (made, below):
        assert client.vpc_peerings.delete(one["id"])["vpc_peering"]["status"] == "DELETING"
        eventually(lambda: client.vpc_peerings.get(one["id"]).get("id"), lambda word: word == "not_found", "the end of the peering")
    for vpc in vpcs:
        client.vpcs.delete(vpc)


def test_reserved_ips_from_first_to_last(client):
    droplet = create(client)["id"]
    made = client.reserved_ips.create(body={"region": "nyc3"})["reserved_ip"]
    address = made["ip"]
    assert (made["droplet"], made["locked"]) == (None, False)
    assert address in [one["ip"] for one in client.reserved_ips.list(per_page=200)["reserved_ips"]]
    act = lambda **body: client.reserved_ips_actions.post(address, body=body)["action"]
    action = act(type="assign", droplet_id=droplet)
    finished(client, action)
    assert client.reserved_ips_actions.get(address, action["id"])["action"]["type"] == "assign_ip"
    assert client.reserved_ips.get(address)["reserved_ip"]["droplet"]["id"] == droplet
    refused(422, lambda: act(type="assign", droplet_id=droplet))
    finished(client, act(type="unassign"))
    assert [one["type"] for one in client.reserved_ips_actions.list(address)["actions"]] == ["unassign_ip", "assign_ip"]
    client.reserved_ips.delete(address)
    assert client.reserved_ips.get(address)["id"] == "not_found"
    floating = client.reserved_ips.create(body={"droplet_id": droplet})
    finished(client, floating["links"]["actions"][0])
    address = floating["reserved_ip"]["ip"]
    assert client.reserved_ips.get(address)["reserved_ip"]["droplet"]["id"] == droplet
    # Gone with its Droplet's assignment, and not with its Droplet.
    client.droplets.destroy(droplet)
    assert client.reserved_ips.get(address)["reserved_ip"]["droplet"] is None
    assert address in [one["ip"] for one in client.reserved_ips.list(per_page=200)["reserved_ips"]]
    refused(422, lambda: client.reserved_ips_actions.post(address, body={"type": "unassign"}))
    client.reserved_ips.delete(address)


def test_reserved_ipv6_from_first_to_last(client):
    droplet = create(client, ipv6=True)["id"]
    made = client.reserved_ipv6.create(body={"region_slug": "nyc3"})["reserved_ipv6"]
    address = made["ip"]
    assert made["region_slug"] == "nyc3" and made["reserved_at"].endswith("Z")
    assert address in [one["ip"] for one in client.reserved_ipv6.list(per_page=200)["reserved_ipv6s"]]
    finished(client, client.reserved_ipv6_actions.post(address, body={"type": "assign", "droplet_id": droplet})["action"])
    assert client.reserved_ipv6.get(address)["reserved_ipv6"]["droplet"]["id"] == droplet
    finished(client, client.reserved_ipv6_actions.post(address, body={"type": "unassign"})["action"])
    client.reserved_ipv6.delete(address)
    assert client.reserved_ipv6.get(address)["id"] == "not_found"
    client.droplets.destroy(droplet)


def test_a_domain_and_its_records_from_first_to_last(client):
    name = f"{fresh_name('domain')}.example"
    assert client.domains.create(body={"name": name, "ip_address": "192.0.2.1"})["domain"]["name"] == name
    assert name in [domain["name"] for domain in client.domains.list(per_page=200)["domains"]]
    assert f"{name}. 1800 IN A 192.0.2.1" in client.domains.get(name)["domain"]["zone_file"]
    made = client.domains.create_record(name, body={"type": "MX", "name": "@", "data": "mx.example.net.", "priority": 10})
    record = made["domain_record"]
    assert (record["data"], record["priority"], record["port"], record["ttl"]) == ("mx.example.net", 10, None, 1800)
    assert client.domains.list_records(name, type="MX")["domain_records"] == [record]
    assert client.domains.patch_record(name, record["id"], body={"type": "MX", "priority": 20})["domain_record"]["priority"] == 20
    updated = client.domains.update_record(name, record["id"], body={"type": "MX", "name": "mail"})["domain_record"]
    assert (updated["name"], client.domains.get_record(name, record["id"])["domain_record"]) == ("mail", updated)
    refused(422, lambda: client.domains.create(body={"name": name}))
    client.domains.delete_record(name, record["id"])
    assert client.domains.get_record(name, record["id"])["id"] == "not_found"
    client.domains.delete(name)
    assert client.domains.get(name)["id"] == "not_found"


def test_a_firewall_from_first_to_last(client):
    rule = {"protocol": "tcp", "ports": "22", "sources": {"addresses": ["192.0.2.7", "2001:db8::/32"]}}
    body = {"name": fresh_name("wall"), "inbound_rules": [rule]}
    made = client.firewalls.create(body=body)["firewall"]
    assert (made["name"], made["inbound_rules"], made["outbound_rules"]) == (body["name"], [rule], [])
    assert made["id"] in [one["id"] for one in client.firewalls.list(per_page=200)["firewalls"]]
    droplet, tag = client.droplets.create(body={"name": fresh_name("guarded")} | BODY)["droplet"]["id"], fresh_name("tag")
    client.tags.create(body={"name": tag})
    client.firewalls.assign_droplets(made["id"], body={"droplet_ids": [droplet]})
    client.firewalls.add_tags(made["id"], body={"tags": [tag]})
    more = {"protocol": "icmp", "destinations": {"droplet_ids": [droplet], "tags": [tag]}}
    client.firewalls.add_rules(made["id"], body={"outbound_rules": [more]})
    now = client.firewalls.get(made["id"])["firewall"]
    assert (now["droplet_ids"], now["tags"], now["outbound_rules"]) == ([droplet], [tag], [more | {"ports": "0"}])
    assert [one["id"] for one in client.droplets.list_firewalls(droplet)["firewalls"]] == [made["id"]]
    client.firewalls.delete_rules(made["id"], body={"outbound_rules": [more]})
    client.firewalls.delete_tags(made["id"], body={"tags": [tag]})
    client.firewalls.delete_droplets(made["id"], body={"droplet_ids": [droplet]})
    changed = client.firewalls.update(made["id"], body=body | {"name": f"{body['name']}-2"})["firewall"]
    assert (changed["name"], changed["droplet_ids"], changed["tags"], changed["outbound_rules"]) == (f"{body['name']}-2", [], [], [])
    refused(409, lambda: client.firewalls.create(body=body | {"name": changed["name"]}))
    client.firewalls.delete(made["id"])
    assert client.firewalls.get(made["id"])["id"] == "not_found"


def test_refusals_have_their_exceptions(client, tls_url):
    with pytest.raises(ClientAuthenticationError):
        connect(tls_url, "dop_v1_nobody").account.get()
    error = refused(422, lambda: client.droplets.create(body={"name": "two words"} | BODY))
    assert "Only valid hostname characters are allowed." in error.response.json()["message"]
    refused(400, lambda: client.droplets.list(page=-1))
    refused(422, lambda: client.droplet_actions.post_by_tag(body={"type": "rename"}, tag_name="web"))


def test_projects(client):
    name = fresh_name("project")
    made = client.projects.create(body={"name": name, "purpose": "Service or API", "environment": "production"})["project"]
    assert (made["environment"], made["is_default"]) == ("Production", False)
    assert client.projects.get(made["id"])["project"] == made
    assert made["id"] in [project["id"] for project in client.projects.list(per_page=200)["projects"]]
    assert client.projects.get_default()["project"]["is_default"] is True
    assert client.projects.patch(made["id"], body={"description": "words"})["project"]["description"] == "words"
    volume = client.volumes.create(body={"name": fresh_name("volume"), "region": "nyc3", "size_gigabytes": 1})["volume"]["id"]
    urn = f"do:volume:{volume}"
    statuses = lambda project: [
        one["status"] for one in client.projects.assign_resources(project, body={"resources": [urn]})["resources"]
    ]
    assert statuses(made["id"]) == ["assigned"] and statuses(made["id"]) == ["already_assigned"]
    assert [one["urn"] for one in client.projects.list_resources(made["id"])["resources"]] == [urn]
    # A 412 is an answer of this call to pydo, and no exception.
    assert client.projects.delete(made["id"])["id"] == "precondition_failed"
    client.volumes.delete(volume)
    client.projects.delete(made["id"])
