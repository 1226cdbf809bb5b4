#!/usr/bin/env bash
# Nothing unfinished and nothing odd in the text of a source: no to-do notes, tabs, spaces at line
# ends, other headers' guards; a first line that says what the header is for.
. "$(dirname "$0")/lib.sh"

sources | xargs awk '
  /TO[D]O|FIX[M]E|HAC[K]/ { print FILENAME ":" FNR ": a note about unfinished work" }
  /\t/ { print FILENAME ":" FNR ": a tab" }
  /[ \r]$/ { print FILENAME ":" FNR ": space at the end of the line" }
  /^using namespace/ && FILENAME ~ /\.cuh?$|\.h$/ && FILENAME ~ /h$/ {
    print FILENAME ":" FNR ": using namespace in a header"
  }
  FNR == 1 {
    if (name ~ /h$/ && !guarded) print name ":1: no #pragma once"
    name = FILENAME; guarded = 0
    if (name ~ /h$/ && $0 !~ /^\/\/ /) print name ":1: the first line says what the header is for"
  }
  /^#pragma once$/ { guarded = 1 }
  END { if (name ~ /h$/ && !guarded) print name ":1: no #pragma once" }
' | fail_on_complaints
