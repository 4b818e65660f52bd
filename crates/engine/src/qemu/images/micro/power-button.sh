#!/bin/sh
# Run by acpid when the host presses the power button.
. /etc/dewpoint/stop.sh
exec poweroff -f
