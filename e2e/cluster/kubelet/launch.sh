#!/bin/sh
# Makes a container's root in this (new) mount namespace and becomes the container's program as PID 1.
#   launch.sh ROOT PLAN HOSTNAME READONLY WORKDIR UID GID GROUPS CAPABILITIES NONEWPRIVS PROGRAM [ARGUMENT ...]
# PLAN holds lines "KIND<tab>SOURCE<tab>TARGET" with KIND one of ro, rw (bind mounts), link (symbolic link).
set -eu
root=$1 plan=$2 name=$3 readonly=$4 workdir=$5 uid=$6 gid=$7 groups=$8 capabilities=$9
shift 9
nonewprivs=$1
shift

hostname "$name"
mount -t tmpfs -o mode=0755 container "$root"
mkdir -p "$root/proc" "$root/sys" "$root/dev/shm" "$root/run" "$root/var/tmp" "$root/etc" "$root/.old"
mkdir -m 1777 "$root/tmp"
chmod 1777 "$root/dev/shm" "$root/var/tmp"
mount -t proc proc "$root/proc"
mknod -m 666 "$root/dev/null" c 1 3
mknod -m 666 "$root/dev/zero" c 1 5
mknod -m 666 "$root/dev/full" c 1 7
mknod -m 666 "$root/dev/random" c 1 8
mknod -m 666 "$root/dev/urandom" c 1 9
mknod -m 666 "$root/dev/tty" c 5 0
ln -s /proc/self/fd "$root/dev/fd"
ln -s /proc/self/fd/0 "$root/dev/stdin"
ln -s /proc/self/fd/1 "$root/dev/stdout"
ln -s /proc/self/fd/2 "$root/dev/stderr"

tab=$(printf '\t')
while IFS="$tab" read -r kind source target; do
  case $kind in
    link) ln -s "$source" "$root$target" ;;
    ro | rw)
      if [ -d "$source" ]; then
        mkdir -p "$root$target"
      elif [ ! -e "$root$target" ]; then
        mkdir -p "$root${target%/*}"
        : >"$root$target"
      fi
      mount -o "bind,$kind" "$source" "$root$target"
      ;;
  esac
done <"$plan"

# Container runtimes let a user without rights bind ports below 1024 in the pod's own network.
echo 0 >"$root/proc/sys/net/ipv4/ip_unprivileged_port_start" 2>/dev/null || true

cd "$root"
pivot_root . .old
umount -l /.old
rmdir /.old
[ -d "$workdir" ] || mkdir -p "$workdir"
if [ "$readonly" = yes ]; then mount -o remount,bind,ro /; fi
cd "$workdir"

set -- --reuid="$uid" --regid="$gid" --bounding-set="$capabilities" --inh-caps=-all -- "$@"
if [ "$nonewprivs" = yes ]; then set -- --no-new-privs "$@"; fi
if [ "$groups" = none ]; then set -- --clear-groups "$@"; else set -- --groups="$groups" "$@"; fi
exec setpriv "$@"
