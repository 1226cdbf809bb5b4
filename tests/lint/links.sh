#!/usr/bin/env bash
# Every relative link of the documentation leads to a file that exists.
. "$(dirname "$0")/lib.sh"

find . -name '*.md' -not -path './build*' -not -path './.git/*' | LC_ALL=C sort | while read -r page; do
  awk -v page="$page" '
    /^```/ { code = !code }
    code { next }
    {
      line = $0
      while (match(line, /\]\([^)]*\)/)) {
        print page ":" FNR " " substr(line, RSTART + 2, RLENGTH - 3)
        line = substr(line, RSTART + RLENGTH)
      }
    }' "$page"
done | while read -r place target; do
  case $target in
    *://* | mailto:* | '#'*) continue ;;
  esac
  target=${target%%#*}
  [ -e "$(dirname "${place%:*}")/$target" ] || echo "${place#./}: $target does not exist"
done | fail_on_complaints
