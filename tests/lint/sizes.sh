#!/usr/bin/env bash
# Files and functions stay small enough to be read at once: headers 200 lines, .cc 400, .cu 600,
# functions 60 (tests excepted), columns 100.
. "$(dirname "$0")/lib.sh"

sources | LC_ALL=C.UTF-8 xargs awk '
  function close_file() {
    if (name != "" && lines > limit) print name ":" lines ": longer than " limit " lines"
  }
  # Characters, not bytes: continuation bytes of UTF-8 take no column.
  function columns(text) { gsub(/[\200-\277]/, "", text); return length(text) }
  FNR == 1 {
    close_file()
    name = FILENAME; start = 0
    limit = name ~ /\.cuh?$/ ? 600 : name ~ /\.h$/ ? 200 : 400
  }
  { lines = FNR; sub(/\r$/, "") }
  columns($0) > 100 { print FILENAME ":" FNR ": wider than 100 columns" }
  # A body begins at a line of column 0 that ends in "{" and ends with "}" in column 0.
  FILENAME !~ /^tests\// && /^[A-Za-z_].*\{$|^ .*\) (const )?(noexcept )?\{$/ &&
      !/=/ && !/^(namespace|struct|class|enum|union|extern|typedef|using)/ && !start &&
      ($0 ~ /^[A-Za-z_]/ || heading) { start = FNR; what = $0 }
  { heading = ($0 ~ /^[A-Za-z_].*[(,]$|^[A-Za-z_].*\([^;{]*$/) || (heading && $0 !~ /[;{}]$/) }
  /^}/ {
    if (start && FNR - start + 1 > 60)
      print FILENAME ":" start ": a function of " FNR - start + 1 " lines (60 at most)"
    start = 0
  }
  END { close_file() }
' | fail_on_complaints
