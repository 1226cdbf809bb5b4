#!/usr/bin/env bash
# Every function that a header offers says what it does: in the comment above it, above the group
# of declarations it stands in, or at the end of its line. An op's header also gives shapes, and a
# backward op says into what it adds. The backends mirror those headers and repeat nothing.
. "$(dirname "$0")/lib.sh"

sources h cuh | grep -vE '^(tests|model/ops/(cpu|cuda))/' | xargs awk '
  function close_file() {
    if (name !~ /^model\/ops\/[^\/]*$/ || !tensors) return
    if (!shapes) print name ":1: an op header without \"Shapes:\""
    if (backward && !adds) print name ":1: a backward op that does not say \"Adds into:\""
  }
  FNR == 1 {
    close_file()
    name = FILENAME
    tensors = shapes = backward = adds = said = 0
  }
  /Shapes:/ { shapes = 1 }
  /Adds into:|\+=/ { adds = 1 }
  /^$/ { said = 0 }
  /^\/\// { if ($0 !~ /^\/\/ ---/) said = 1 }
  /Tensor [a-z_]+[,)]/ { tensors = 1 }
  /^[A-Za-z].*_backward\(/ { backward = 1 }
  # A declaration at namespace scope: a return type, a name and a parenthesis.
  /^[A-Za-z_][A-Za-z0-9_:<>,*& \[\]]* [*&]?[A-Za-z_0-9]+\(/ && !/^(namespace|struct|class|enum|using|static_assert)/ {
    if (!said && $0 !~ /\/\/ /) {
      line = $0
      sub(/\(.*/, "", line)
      sub(/.*[ *&]/, "", line)
      print FILENAME ":" FNR ": " line "() has no contract"
    }
  }
  END { close_file() }
' | fail_on_complaints
