#!/bin/sh
# The sandbox under control groups (cgroup v2) with the controllers memory and pids, on any machine: boots
# User-Mode Linux (Debian's user-mode-linux) on this file system, read-only, and runs the tests that need them.
# usage: control_groups.sh BUILD_FOLDER [linux.uml]   Exits with 77 (skipped) where there is no linux.uml.
set -eu
if [ "${1:-}" = inside ]; then
  mount -t proc proc /proc && mount -t sysfs sys /sys && mount -t cgroup2 groups /sys/fs/cgroup
  mount -t tmpfs -o mode=1777 tmp /tmp && mount -t tmpfs dev /dev
  mknod -m 666 /dev/null c 1 3 && mknod -m 666 /dev/zero c 1 5
  mknod -m 666 /dev/random c 1 8 && mknod -m 666 /dev/urandom c 1 9
  echo "+memory +pids" > /sys/fs/cgroup/cgroup.subtree_control
  mkdir /sys/fs/cgroup/shell && echo $$ > /sys/fs/cgroup/shell/cgroup.procs
  export PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/tmp
  cd /tmp && "$BUILD/temper" doctor --no-measure | grep "control groups"
  "$BUILD/test_reward" "*control group*" -d yes && echo PASSED
  exit 0  # the end of the first process is a panic, and the end of the machine
fi
build=$(realpath "$1")
kernel=$(command -v "${2:-linux.uml}") || { echo "skipped: no linux.uml"; exit 77; }
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
timeout 300 "$kernel" mem=1500M rootfstype=hostfs rootflags=/ ro init="$(realpath "$0")" inside \
  BUILD="$build" cgroup_no_v1=all panic=1 con=null con0=fd:0,fd:1 umid=temper uml_dir="$scratch" \
  < /dev/null > "$scratch/log" 2>&1 || true
grep -E '^  control groups|^.{0,9}[0-9.]+ s:|assertion|FAILED|_test.cc' "$scratch/log"
grep -q PASSED "$scratch/log"
