#!/bin/sh
# Names volumes as udev would: /dev/disk/by-id/scsi-0DO_Volume_NAME, and the same with -partN for a partition.
# Run by uevent for each device that comes or goes, which the kernel describes in variables.
[ "$SUBSYSTEM" = block ] || exit 0
case "$DEVNAME" in sd*) ;; *) exit 0 ;; esac
links=/dev/disk/by-id
if [ "$ACTION" = remove ]; then
    for link in "$links"/*; do
        [ "$(readlink "$link")" = "../../$DEVNAME" ] && rm -f "$link"
    done
    exit 0
fi
at="/sys/class/block/$DEVNAME"
disk="$at"
[ -e "$at/partition" ] && disk="$at/.." && part="-part$(cat "$at/partition")"
disk=$(realpath "$disk")
read -r vendor < "$disk/device/vendor"
read -r model < "$disk/device/model"
# Device identification (SPC, page 83h): the first designator's length is byte 7, its text follows.
bytes() { dd if="$disk/device/vpd_pg83" bs=1 skip="$1" count="$2" 2> /dev/null; }
length=$(bytes 7 1 | hexdump -e '1/1 "%d"')
[ -n "$length" ] || exit 0
name=$(bytes 8 "$length")
mkdir -p "$links"
ln -sf "../../$DEVNAME" "$links/scsi-0${vendor}_${model}_$name$part"
