"""Passwords for those without a key, shown once."""

import warnings

with warnings.catch_warnings():
    # Python 3.13 has it no more; Debian 12 has 3.11.
    warnings.simplefilter("ignore", DeprecationWarning)
    import crypt


def lets_in(guest, password):
    """Whether root's password in the guest is this one."""
    stored = guest.run("awk -F: '$1 == \"root\" {print $2}' /etc/shadow")
    return crypt.crypt(password, stored) == stored


def shown(lab, guest):
    return lab.http.get(f"/dew/v1/droplets/{guest.id}/password")


def test_a_password_that_is_reset_is_in_the_guest_and_shown_once(lab):
    guest = lab.droplet()
    assert shown(lab, guest).status_code == 404, "it was made with a key"
    guest.act("password_reset")
    answer = shown(lab, guest)
    assert answer.status_code == 200, answer.text
    assert lets_in(guest, answer.json()["password"])
    assert shown(lab, guest).status_code == 404
    guest.act("power_cycle")
    assert lets_in(guest.ready(), answer.json()["password"]), "it stays over a restart"
