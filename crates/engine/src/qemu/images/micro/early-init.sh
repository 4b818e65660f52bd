#!/bin/sh
# First program of the micro image's guest, in its initramfs: loads the drivers, mounts the disk, hands over.
# Only what the disk cannot do for itself is here; everything else is in boot.sh, on the disk.
mount -t devtmpfs dev /dev
mount -t proc proc /proc
mount -t sysfs sys /sys
while read -r module; do
    insmod "/modules/$module.ko"
done < /modules/order
# The driver announces the disk a moment after it is loaded.
tries=0
until [ -b /dev/vda ] || [ "$tries" -ge 200 ]; do
    usleep 10000
    tries=$((tries + 1))
done
mount -t ext4 -o noatime,commit=1 /dev/vda /disk || exec sh
mount -o move /dev /disk/dev
mount -o move /proc /disk/proc
mount -o move /sys /disk/sys
exec switch_root /disk /sbin/init
