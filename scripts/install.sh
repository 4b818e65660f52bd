#!/bin/sh
# Installs the Debian packages that a target of the Makefile needs and this machine lacks. Says which; silent when none.
#
#   scripts/install.sh demo        to run QEMU guests and build micro-x64
#   scripts/install.sh test        the same, what the Python clients need, and the shells that completion is tested in
#   scripts/install.sh bench-net   what `make bench-net` measures with
#   scripts/install.sh debian      the same as demo, and what building debian-12-x64 needs
#   scripts/install.sh llama       what building dew-llama needs, and nothing of the above
set -eu

missing=
# need PACKAGE TEST… : notes the package unless the test succeeds. mke2fs and others are in /usr/sbin, off many users' PATH.
need() {
    package=$1
    shift
    (PATH=$PATH:/usr/sbin:/sbin && "$@") >/dev/null 2>&1 || missing="$missing $package"
}
has() { command -v "$1"; }

# Rust itself needs a C compiler to link, and SQLite is compiled from C.
need gcc has cc
need libc6-dev test -e /usr/include/stdio.h
if [ "${1:-}" != llama ]; then
    need qemu-system-x86 has qemu-system-x86_64
    need qemu-utils has qemu-img
    need util-linux has setpriv
    need e2fsprogs has mke2fs
    need xfsprogs has mkfs.xfs
    need openssh-client has ssh
fi
case ${1:-} in
demo) ;;
# llama.cpp is C++, built by cmake; what Rust calls of it is read from its headers by libclang, with clang's own headers.
llama) need g++ has g++; need cmake has cmake; need clang has clang; need libclang-dev sh -c 'ls /usr/lib/llvm-*/lib/libclang*.so*' ;;
bench-net) need iperf3 has iperf3 ;;
test)
    need python3-venv python3 -c 'import ensurepip'
    need curl has curl
    need zsh has zsh
    need fish has fish
    ;;
debian) need mmdebstrap has mmdebstrap ;;
*) echo "usage: scripts/install.sh demo|test|bench-net|debian|llama" >&2 && exit 2 ;;
esac

as_root() {
    if [ "$(id -u)" = 0 ]; then
        "$@"
    elif command -v sudo >/dev/null; then
        sudo "$@"
    else
        echo "There is no sudo here. Run this as root, then try again: $*" >&2
        exit 1
    fi
}
have_lists() { find /var/lib/apt/lists -name '*_Packages*' 2>/dev/null | grep -q .; }

# Building micro-x64 asks apt for packages too, so its lists have to be there even when nothing is missing.
if ! have_lists || [ -n "$missing" ]; then
    command -v apt-get >/dev/null || { echo "No apt-get here. Install by hand:$missing" >&2 && exit 1; }
    echo "Asking the distribution for its package lists" >&2
    as_root apt-get update -qq >/dev/null
fi
if [ -n "$missing" ]; then
    echo "Installing$missing" >&2
    # What it prints of each package helps nobody; its errors are on standard error.
    # shellcheck disable=SC2086 # several words on purpose
    as_root env DEBIAN_FRONTEND=noninteractive apt-get install -qq -y --no-install-recommends $missing >/dev/null
fi
