"""Domains as doctl and the Terraform provider handle them, looked up by a resolver that is not ours (DNS-1, DNS-2, CRE-4).

The requests are godo's: every member it always sends, zeros and empty texts for what it has no value for. What comes of them is asked
of the server's own name server by dnspython.
"""

import os

import dns.exception
import dns.flags
import dns.message
import dns.query
import dns.rcode
import dns.rdatatype
import dns.resolver
import dns.reversename
import pytest

from harness import finish, fresh_name

LONG = 20


@pytest.fixture
def godo(http):
    """The headers godo sends with everything."""
    http.headers.update({"Accept": "application/json", "User-Agent": "godo/1.202.0"})
    return http


@pytest.fixture
def domain(godo):
    """A domain as `doctl compute domain create` makes it, and deletes it."""
    name = f"{fresh_name('tf-acc')}.example.com"
    made = godo.post("/v2/domains", json={"name": name, "ip_address": "192.0.2.10"})
    assert made.status_code == 201, made.text
    assert made.json()["domain"] == {"name": name, "ttl": 1800, "zone_file": None}
    yield name
    assert godo.delete(f"/v2/domains/{name}").status_code in (204, 404)


@pytest.fixture(scope="session")
def resolver():
    """A resolver that asks our name server and nobody else."""
    address, port = os.environ["DEW_TEST_NAMES"].rsplit(":", 1)
    resolver = dns.resolver.Resolver(configure=False)
    resolver.nameservers, resolver.port, resolver.lifetime = [address], int(port), LONG
    return resolver


def record_request(**members):
    """A `DomainRecordEditRequest` as Go marshals it: priority, port, weight and flags are always there."""
    return {"priority": 0, "port": 0, "weight": 0, "flags": 0} | members


def texts(resolver, name, kind):
    """What a name has of a type, sorted."""
    return sorted(record.to_text() for record in resolver.resolve(name, kind))


def test_doctl_makes_lists_and_deletes_records(godo, domain, resolver):
    listed = godo.get("/v2/domains", params={"page": 1, "per_page": 200}).json()
    assert domain in [one["name"] for one in listed["domains"]]
    assert godo.get(f"/v2/domains/{domain}").json()["domain"]["name"] == domain
    path = f"/v2/domains/{domain}/records"
    # `doctl compute domain records create --record-type A --record-name www --record-data 192.0.2.1`
    made = godo.post(path, json=record_request(type="A", name="www", data="192.0.2.1", ttl=1800))
    assert made.status_code == 201, made.text
    record = made.json()["domain_record"]
    assert texts(resolver, f"www.{domain}", "A") == ["192.0.2.1"]
    # `records update` sends no type.
    edited = godo.put(f"{path}/{record['id']}", json=record_request(name="api", data="192.0.2.2", ttl=300))
    assert edited.status_code == 200 and edited.json()["domain_record"]["type"] == "A", edited.text
    answer = resolver.resolve(f"API.{domain}", "A")
    assert (answer.rrset.ttl, [str(one) for one in answer]) == (300, ["192.0.2.2"])
    with pytest.raises(dns.resolver.NXDOMAIN):
        resolver.resolve(f"www.{domain}", "A")
    with pytest.raises(dns.resolver.NoAnswer):
        resolver.resolve(f"api.{domain}", "AAAA")
    every = godo.get(path, params={"page": 1, "per_page": 200}).json()["domain_records"]
    assert [one["type"] for one in every] == ["SOA", "NS", "NS", "NS", "A", "A"]
    assert godo.delete(f"{path}/{record['id']}").status_code == 204
    with pytest.raises(dns.resolver.NXDOMAIN):
        resolver.resolve(f"api.{domain}", "A")


# What the provider's acceptance tests make, and how it is found.
RECORDS = [
    (dict(type="A", name="terraform", data="192.0.2.10"), ["192.0.2.10"]),
    (dict(type="AAAA", name="terraform", data="2001:db8::1"), ["2001:db8::1"]),
    (dict(type="CNAME", name="alias", data="a.foobar-test-terraform.com."), ["a.foobar-test-terraform.com."]),
    (dict(type="CNAME", name="relative", data="a.b"), ["a.b.{domain}."]),
    (dict(type="MX", name="terraform", data="foobar.", priority=10), ["10 foobar."]),
    (dict(type="MX", name="mail", data="@", priority=5), ["5 {domain}."]),
    (dict(type="SRV", name="_service._protocol", data="foobar.", priority=0, port=60, weight=100), ["0 100 60 foobar."]),
    (dict(type="CAA", name="@", data="letsencrypt.org.", flags=1, tag="issue"), ['1 issue "letsencrypt.org"']),
    (dict(type="CAA", name="report", data="http://caa.example.com", flags=0, tag="iodef"), ['0 iodef "http://caa.example.com"']),
    (dict(type="TXT", name="terraform", data="v=spf1 a:smtp01.example.com a:mail.example.com -all"),
     ['"v=spf1 a:smtp01.example.com a:mail.example.com -all"']),
    (dict(type="NS", name="delegated", data="ns1.example.net."), None),
]


@pytest.mark.parametrize("members,found", RECORDS, ids=lambda value: "-".join(value[k] for k in ("type", "name")) if isinstance(value, dict) else None)
def test_terraform_makes_reads_and_replaces_every_type(godo, domain, resolver, members, found):
    path = f"/v2/domains/{domain}/records"
    made = godo.post(path, json=record_request(**members, ttl=1800))
    assert made.status_code == 201, made.text
    record = made.json()["domain_record"]
    # The provider reads it back by its id at once, and compares.
    read = godo.get(f"{path}/{record['id']}")
    assert read.status_code == 200 and read.json()["domain_record"] == record
    assert (record["type"], record["name"], record["ttl"]) == (members["type"], members["name"], 1800)
    owner = domain if members["name"] == "@" else f"{members['name']}.{domain}"
    if found is None:
        asked = dns.message.make_query(f"x.{owner}", "A")
        said = dns.query.udp(asked, resolver.nameservers[0], port=resolver.port, timeout=LONG)
        assert not said.flags & dns.flags.AA and not said.answer
        assert [str(one) for one in said.authority[0]] == [members["data"]]
    else:
        assert texts(resolver, owner, members["type"]) == [one.format(domain=domain) for one in found]
    assert godo.delete(f"{path}/{record['id']}").status_code == 204
    assert godo.get(f"{path}/{record['id']}").status_code == 404


def test_a_domain_and_what_is_in_it_ends_as_the_provider_ends_it(godo, resolver):
    name = f"{fresh_name('tf-acc')}.example.com"
    assert godo.post("/v2/domains", json={"name": name}).status_code == 201
    start = resolver.resolve(name, "SOA")[0]
    assert str(start.mname) == "ns1.digitalocean.com." and start.minimum == 1800
    assert texts(resolver, name, "NS") == [f"ns{number}.digitalocean.com." for number in (1, 2, 3)]
    with pytest.raises(dns.resolver.NoAnswer) as missing:
        resolver.resolve(name, "A")
    assert missing.value.response().authority[0].rdtype == dns.rdatatype.SOA
    assert godo.delete(f"/v2/domains/{name}").status_code == 204
    # The provider takes the 404 of the next read for the end.
    assert godo.get(f"/v2/domains/{name}").status_code == 404
    said = dns.query.udp(dns.message.make_query(name, "A"), resolver.nameservers[0], port=resolver.port, timeout=LONG)
    assert said.rcode() == dns.rcode.REFUSED


def test_large_answers_come_over_tcp_and_whole_zones_do_not(godo, domain, resolver):
    path = f"/v2/domains/{domain}/records"
    data = "x" * 1500 + '"\\'
    assert godo.post(path, json=record_request(type="TXT", name="large", data=data, ttl=60)).status_code == 201
    # The resolver asks over UDP, is told that there is more, and asks over TCP.
    [found] = resolver.resolve(f"large.{domain}", "TXT")
    assert b"".join(found.strings) == data.encode()
    with pytest.raises(dns.exception.DNSException):
        list(dns.query.xfr(resolver.nameservers[0], domain, port=resolver.port, lifetime=LONG))


def test_a_droplets_addresses_have_its_name(http, domain, droplet_of, resolver):
    name = f"web.{domain}"
    droplet = droplet_of(name=name, ipv6=True)
    addresses = [one["ip_address"] for family in ("v4", "v6") for one in droplet["networks"][family] if one["type"] == "public"]
    assert len(addresses) == 2
    for address in addresses:
        assert [str(one) for one in resolver.resolve_address(address)] == [f"{name}."]
    rename = http.post(f"/v2/droplets/{droplet['id']}/actions", json={"type": "rename", "name": "elsewhere"})
    finish(http, rename.json()["action"]["id"])
    for address in addresses:
        with pytest.raises(dns.resolver.NXDOMAIN):
            resolver.resolve(dns.reversename.from_address(address), "PTR")
