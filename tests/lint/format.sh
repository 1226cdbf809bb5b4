#!/usr/bin/env bash
# clang-format agrees with every file. Skipped (exit 77) where it is not installed or is not the
# release that the tree is formatted with: other releases break lines elsewhere.
. "$(dirname "$0")/lib.sh"

tool=
for candidate in clang-format-14 clang-format; do
  if command -v "$candidate" >/dev/null && "$candidate" --version | grep -q 'version 14\.'; then
    tool=$candidate
    break
  fi
done
if [ -z "$tool" ]; then
  echo "skipped: no clang-format 14 here"
  exit 77
fi
sources | xargs "$tool" --dry-run 2>&1 | awk '/warning:/ { sub(/:[0-9]+: warning.*/, ""); print $0 ": not as clang-format 14 writes it" }' |
  LC_ALL=C sort -u | fail_on_complaints
