#!/bin/sh
# The micro image's work after SSH is up: grow the file system, find the volumes, run the user data once, tell the host
# how it went.
state=/var/lib/dewpoint
read -r instance < /run/instance
result="$state/result.$instance"
started="$state/started.$instance"

for entry in /sys/class/virtio-ports/*; do
    [ "$(cat "$entry/name")" = org.dewpoint.report.0 ] && port="/dev/${entry##*/}"
done
exec 3<> "${port:-/dev/null}"
# In the background: it waits while no host listens. Port 22 in the state LISTEN is what the pattern means.
(
    tries=0
    until grep -q ':0016 0*:0000 0A ' /proc/net/tcp /proc/net/tcp6 || [ "$tries" -ge 200 ]; do
        usleep 20000
        tries=$((tries + 1))
    done
    echo ssh >&3
) &

resize2fs /dev/vda > /run/resize2fs.log 2>&1 || cat /run/resize2fs.log

modprobe -a virtio_scsi sd_mod
# Those that came before anyone listened for them.
for disk in /sys/class/block/sd*; do
    [ -e "$disk" ] && ACTION=add SUBSYSTEM=block DEVNAME="${disk##*/}" /etc/dewpoint/volume.sh
done

run_user_data() {
    script="$state/user-data"
    cp /run/seed/user-data "$script" && chmod 700 "$script"
    [ -s "$script" ] || { echo done; return; }
    [ "$(head -c 2 "$script")" = "#!" ] || { echo unsupported; return; }
    # Never twice: a script that was cut off by a power loss may have done half its work.
    [ -e "$started" ] && { echo "failed power was lost while it ran"; return; }
    : > "$started"
    sync
    cd / || return
    "$script" > /var/log/user-data.log 2>&1 < /dev/null
    status=$?
    if [ "$status" -eq 0 ]; then echo done; else echo "failed exit status $status"; fi
}

if [ ! -s "$result" ]; then
    run_user_data > "$result.new"
    mv "$result.new" "$result"
    sync
fi

[ -n "$port" ] || exit 0
# Written again until the host answers: a host that restarts just now would miss a single line.
while :; do
    echo "user-data $(cat "$result")" >&3
    read -r -t 5 answer <&3 && [ "$answer" = ok ] && exit 0
done
