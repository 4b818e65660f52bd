"""godo itself, the Go library of doctl and the Terraform provider, as the vendor's MCP server for npm has it built in.

Each tool of that server is one or two calls of godo's, and its answer is what godo read, written down by Go. So a member that godo
cannot read, or a word it does not know, is an error here. `scripts/test-godo.sh` installs and starts what this needs.
"""

import json
import os
import subprocess

import pytest

from harness import DOCUMENTED_IMAGE, DOCUMENTED_SIZE, eventually, fresh_name, fresh_public_key

SERVICES = "accounts,droplets,networking,volumes"


class ToolFailed(Exception):
    """What godo made of a refusal."""


class Tools:
    """The MCP server as a child, spoken to over its standard streams."""

    def __init__(self, program, url, token):
        command = [program, "-digitalocean-api-endpoint", url, "-digitalocean-api-token", token, "-services", SERVICES]
        # It is given nothing of this environment, so that it has no other token and no other address.
        self.child = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env={})
        self.asked = 0
        client = {"protocolVersion": "2025-03-26", "capabilities": {}, "clientInfo": {"name": "tests", "version": "1"}}
        self.ask("initialize", client)
        self.send({"jsonrpc": "2.0", "method": "notifications/initialized"})

    def send(self, message):
        self.child.stdin.write(json.dumps(message) + "\n")
        self.child.stdin.flush()

    def ask(self, method, parameters):
        self.asked += 1
        self.send({"jsonrpc": "2.0", "id": self.asked, "method": method, "params": parameters})
        for line in self.child.stdout:
            answer = json.loads(line)
            if answer.get("id") == self.asked:
                return answer["result"]
        raise AssertionError(f"the MCP server ended: {self.child.stderr.read()}")

    def __call__(self, tool, **arguments):
        """What a tool answers, as JSON if it is."""
        result = self.ask("tools/call", {"name": tool, "arguments": arguments})
        text = "".join(part["text"] for part in result["content"])
        if result.get("isError"):
            raise ToolFailed(text)
        try:
            return json.loads(text)
        except json.JSONDecodeError:
            return text

    def end(self):
        self.child.stdin.close()
        self.child.wait(timeout=20)


@pytest.fixture(scope="module")
def godo():
    tools = Tools(os.environ["DEW_TEST_GODO"], os.environ["DEW_TEST_URL"], os.environ["DEW_TEST_TOKEN"])
    yield tools
    tools.end()


def refused(status, call):
    """Runs a call that must fail by this status."""
    with pytest.raises(ToolFailed) as failed:
        call()
    assert f" {status} " in str(failed.value), failed.value


def action_ends(godo, action):
    seen = eventually(lambda: godo("action-get", ID=action), lambda seen: seen["status"] != "in-progress", "end")
    assert seen["status"] == "completed", seen


@pytest.fixture
def droplet(godo):
    """A Droplet that is active; it is deleted after the test."""
    made = godo("droplet-create", Name=fresh_name("go"), Size=DOCUMENTED_SIZE, Region="nyc3", ImageSlug=DOCUMENTED_IMAGE, Tags=["of-go"])
    yield eventually(lambda: godo("droplet-get", ID=made["id"]), lambda seen: seen["status"] == "active", "active Droplet")
    godo("droplet-delete", ID=made["id"])


def test_a_domain_and_its_records_dns_1_dns_2(godo):
    name = f"{fresh_name('go')}.example"
    assert godo("domain-create", Name=name, IPAddress="192.0.2.1")["name"] == name
    refused(422, lambda: godo("domain-create", Name=name, IPAddress="192.0.2.1"))
    assert f"{name}. 1800 IN A 192.0.2.1" in godo("domain-get", Name=name)["zone_file"]
    assert name in [one["name"] for one in godo("domain-list", PerPage=200)]
    record = godo("domain-record-create", Domain=name, Type="CNAME", Name="www", Data="@")
    assert (record["type"], record["name"], record["data"], record["ttl"]) == ("CNAME", "www", "@", 1800)
    assert godo("domain-record-get", Domain=name, RecordID=record["id"]) == record
    edited = godo("domain-record-edit", Domain=name, RecordID=record["id"], Type="CNAME", Name="web", Data="www.example.net.")
    assert (edited["name"], edited["data"]) == ("web", "www.example.net")
    every = godo("domain-record-list", Domain=name, PerPage=200)
    assert [one["type"] for one in every] == ["SOA", "NS", "NS", "NS", "A", "CNAME"]
    godo("domain-record-delete", Domain=name, RecordID=record["id"])
    refused(404, lambda: godo("domain-record-get", Domain=name, RecordID=record["id"]))
    godo("domain-delete", Name=name)
    refused(404, lambda: godo("domain-get", Name=name))


def test_a_droplet_is_made_renamed_and_found(godo, droplet):
    assert droplet["tags"] == ["of-go"] and droplet["size_slug"] == DOCUMENTED_SIZE
    action = godo("rename-droplet", ID=droplet["id"], Name="renamed-by-go")
    action_ends(godo, action["id"])
    assert godo("droplet-get", ID=droplet["id"])["name"] == "renamed-by-go"
    assert droplet["id"] in [one["id"] for one in godo("droplet-list", PerPage=200)]
    refused(404, lambda: godo("droplet-get", ID=1))


def test_a_vpc_has_its_members(godo, droplet):
    vpc = godo("vpc-create", Name=fresh_name("go"), Region="nyc3", Subnet="10.211.0.0/24")
    assert vpc["ip_range"] == "10.211.0.0/24"
    refused(422, lambda: godo("vpc-create", Name=fresh_name("go"), Region="nyc3", Subnet="10.211.0.0/25"))
    urns = [one["urn"] for one in godo("vpc-list-members", ID=droplet["vpc_uuid"])]
    assert f"do:droplet:{droplet['id']}" in urns
    godo("vpc-delete", ID=vpc["id"])
    refused(404, lambda: godo("vpc-get", ID=vpc["id"]))


def test_a_firewall_guards_droplets(godo, droplet):
    made = godo(
        "firewall-create", Name=fresh_name("go"), InboundProtocol="tcp", InboundPortRange="22", InboundSource="192.0.2.0/24",
        OutboundProtocol="udp", OutboundPortRange="53", OutboundDestination="0.0.0.0/0", DropletIDs=[], Tags=[],
    )
    godo("firewall-add-droplets", ID=made["id"], DropletIDs=[droplet["id"]])
    seen = eventually(lambda: godo("firewall-get", ID=made["id"]), lambda seen: seen["status"] == "succeeded", "succeeded")
    assert seen["droplet_ids"] == [droplet["id"]]
    assert (seen["inbound_rules"][0]["ports"], seen["outbound_rules"][0]["protocol"]) == ("22", "udp")
    godo("firewall-delete", ID=made["id"])
    refused(404, lambda: godo("firewall-get", ID=made["id"]))


def test_a_volume_is_attached(godo, droplet):
    volume = godo("volume-create", Name=fresh_name("go"), SizeGigaBytes=1, Region="nyc3")
    action = godo("volume-attach", VolumeID=volume["id"], DropletID=droplet["id"])
    ended = lambda seen: seen["status"] != "in-progress"
    seen = eventually(lambda: godo("volume-action-get", VolumeID=volume["id"], ActionID=action["id"]), ended, "end")
    assert seen["status"] == "completed", seen
    assert godo("droplet-get", ID=droplet["id"])["volume_ids"] == [volume["id"]]


def test_a_key_is_kept(godo):
    key = godo("key-create", Name=fresh_name("go"), PublicKey=fresh_public_key())
    assert key["id"] in [one["id"] for one in godo("key-list", PerPage=200)]
    godo("key-delete", ID=key["id"])
    refused(404, lambda: godo("key-get", ID=key["id"]))
