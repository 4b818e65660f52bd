#!/bin/sh
# Vendor data of a Droplet that was made with a password. Run at every start before SSH is up; does its work at the first.
done=/var/lib/cloud/instance/sem/dewpoint-password
[ ! -e "$done" ] || exit 0
echo 'root:HASH' | chpasswd -e || exit 1
settings=/etc/ssh/sshd_config
# The first word on a matter is the one that counts, so ours stand before all others, those of included files too.
if [ -e "$settings" ] && ! grep -q '^# Made with a password' "$settings"; then
    sed -i '1i # Made with a password, so root is let in with it.\nPermitRootLogin yes\nPasswordAuthentication yes\n' \
        "$settings"
fi
: > "$done"
