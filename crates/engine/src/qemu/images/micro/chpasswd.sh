#!/bin/sh
# chpasswd -e, which busybox does not have: takes lines USER:HASH and puts each hash into /etc/shadow.
[ "$1" = -e ] || { echo "chpasswd: only passwords that are encrypted already (-e)" >&2; exit 1; }
umask 077
while IFS=: read -r user hash; do
    grep -q "^$user:" /etc/shadow || { echo "chpasswd: there is no user $user" >&2; exit 1; }
    # By the environment: awk would take a hash's backslashes for its own.
    user=$user hash=$hash awk -F: -v OFS=: '$1 == ENVIRON["user"] { $2 = ENVIRON["hash"] } { print }' \
        /etc/shadow > /etc/shadow.new || exit 1
    sync
    mv /etc/shadow.new /etc/shadow
done
sync
