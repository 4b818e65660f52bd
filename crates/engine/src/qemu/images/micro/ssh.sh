#!/bin/sh
# The micro image's SSH server. Passwords open it only on a machine that was made with one.
[ -e /var/lib/dewpoint/password-login ] || keys_alone=-s
exec /usr/sbin/dropbear -F -E $keys_alone -K 60 -r /etc/dropbear/dropbear_ed25519_host_key
