"""An IPv6 address that is added later."""


def test_an_added_address_is_in_the_guest_from_its_next_start_on(lab):
    guest = lab.droplet()
    guest.act("enable_ipv6")
    [address] = [one.ip_address for one in guest.droplet.networks.v6]
    assert address not in guest.run("ip -6 address")
    guest.act("power_cycle")
    assert address in guest.ready().run("ip -6 address")
    assert "ipv6" in guest.droplet.features
