#!/bin/sh
# The micro image's boot: everything SSH needs, from the seed disk. Run by init before it starts anything else.
# The seed's file "dewpoint" says the same as its cloud-init files in lines a shell can read:
#   instance ID | hostname NAME | link MAC | ipv4 ADDRESS/PREFIX | ipv6 ADDRESS/PREFIX | gateway ADDRESS
#   | gateway6 ADDRESS | route NETWORK GATEWAY | nameserver ADDRESS | key OPENSSH-LINE | password HASH
# Addresses belong to the link above them.
state=/var/lib/dewpoint
mkdir -p /dev/pts /dev/shm "$state" /root/.ssh /etc/dropbear
mount -t devpts devpts /dev/pts
mount -t tmpfs -o mode=755 run /run
mkdir -p /run/seed
# What is written is on the disk within two seconds, not thirty: these guests lose their power often.
echo 100 > /proc/sys/vm/dirty_expire_centisecs
echo 100 > /proc/sys/vm/dirty_writeback_centisecs
ip link set lo up
mount -t vfat -o ro,umask=077 "$(findfs LABEL=CIDATA)" /run/seed || echo "dewpoint: no seed disk"

link_of() {
    for path in /sys/class/net/*; do
        read -r mac < "$path/address"
        [ "$mac" = "$1" ] && echo "${path##*/}"
    done
}

: > "$state/keys.new"
: > /run/resolv.conf
while read -r word rest; do
    case "$word" in
        instance)
            echo "$rest" > /run/instance
            # A disk that was another machine's before: its names and keys are not this one's.
            [ "$(cat "$state/instance" 2> /dev/null)" = "$rest" ] || rm -f /etc/hostname /etc/dropbear/*_host_key
            ;;
        hostname) [ -s /etc/hostname ] || echo "$rest" > /etc/hostname ;;
        key) echo "$rest" >> "$state/keys.new" ;;
        password) password=$rest ;;
        link)
            link=$(link_of "$rest")
            [ -n "$link" ] || { echo "dewpoint: no network link $rest"; continue; }
            # Duplicate address detection would hold the address back for a second; the host gave it out once.
            echo 0 > "/proc/sys/net/ipv6/conf/$link/accept_dad"
            echo 0 > "/proc/sys/net/ipv6/conf/$link/accept_ra"
            ip link set "$link" up
            ;;
        ipv4 | ipv6) [ -n "$link" ] && ip addr add "$rest" dev "$link" ;;
        gateway) [ -n "$link" ] && ip route add default via "$rest" dev "$link" ;;
        gateway6) [ -n "$link" ] && ip -6 route add default via "$rest" dev "$link" ;;
        route) [ -n "$link" ] && ip route add "${rest% *}" via "${rest#* }" dev "$link" ;;
        nameserver) echo "nameserver $rest" >> /run/resolv.conf ;;
    esac
done < /run/seed/dewpoint

hostname -F /etc/hostname
if ! cmp -s /run/instance "$state/instance"; then
    # The seed's keys are root's first keys; what the owner writes there later is the owner's.
    cat "$state/keys.new" >> /root/.ssh/authorized_keys
    chmod 700 /root /root/.ssh
    chmod 600 /root/.ssh/authorized_keys
    if [ -n "$password" ]; then
        echo "root:$password" | chpasswd -e && : > "$state/password-login"
    fi
    new=yes
fi
rm -f "$state/keys.new"
key=/etc/dropbear/dropbear_ed25519_host_key
if [ ! -s "$key" ]; then
    rm -f "$key"
    dropbearkey -t ed25519 -f "$key" > /dev/null
fi
if [ -n "$new" ]; then
    sync
    cp /run/instance "$state/instance"
fi
