#!/usr/bin/env bash
# Every function that a header offers says what it does: in the comment above it, above the group
# of declarations it stands in, or at the end of its line. An op's header also gives shapes, and a
# backward op says into what it adds. The backends mirror those headers and repeat nothing.
# So do methods: those that a header only declares, but for getters, of the public part of a class.
# The parts of a contract stand in one order: Source, Shapes, Types, Units, Aliasing, Adds into,
# Throws.
. "$(dirname "$0")/lib.sh"

sources h cuh | grep -vE '^(tests|model/ops/(cpu|cuda))/' | xargs awk '
  function close_file() {
    if (name !~ /^model\/ops\/[^\/]*$/ || !tensors) return
    if (!shapes) print name ":1: an op header without \"Shapes:\""
    if (!types) print name ":1: an op header without \"Types:\""
    if (backward && !adds) print name ":1: a backward op that does not say \"Adds into:\""
  }
  FNR == 1 {
    close_file()
    name = FILENAME
    tensors = shapes = types = backward = adds = said = last = class = 0
  }
  # Each part of the line that is the next from the left, against the one before it.
  function check_order(line,    at, first, part, i) {
    while (1) {
      first = 0
      for (i = 1; i <= parts; ++i) {
        at = index(line, label[i])
        if (at && (!first || at < first)) { first = at; part = i }
      }
      if (!first) return
      if (part < last) print FILENAME ":" FNR ": \"" label[part] "\" behind \"" label[last] "\""
      last = part
      line = substr(line, first + length(label[part]))
    }
  }
  BEGIN { parts = split("Source:|Shapes:|Types:|Units:|Aliasing:|Adds into:|Throws", label, "|") }
  /^ *\/\// { check_order($0) }
  !/^ *\/\// { last = 0 }
  /Types:/ { types = 1 }
  /^(class|struct) [A-Za-z_]+.*\{$/ { class = 1; public = ($1 == "struct") }
  /^};?/ { class = 0 }
  class && /^ public:/ { public = 1; said = 0 }
  class && /^ (private|protected):/ { public = 0 }
  class && /^  \/\// { said = 1 }
  class && public && /^  [A-Za-z_][A-Za-z0-9_:<>,*& ]* [*&]?[a-z_0-9]+\(.*;$/ &&
      !/\(\) const;|override|= (delete|default);|operator|^  (return|explicit|using|friend)/ {
    if (!said) print FILENAME ":" FNR ": the method has no contract"
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
