#!/usr/bin/env bash
# A file includes only files of its own unit or of a lower rank, one way, so that no layer of Temper
# can grow a back door into one above it. The table is docs/architecture.md's.
. "$(dirname "$0")/lib.sh"

sources | xargs awk '
  # The unit a file belongs to; its rank is set beside.
  function unit_of(path) {
    if (path ~ /^model\/config\.h$|^model\/config\.cc$/) { rank = 5; return "model/config" }
    if (path ~ /^model\/(weights|batch)[a-z_]*\.(h|cc)$/) { rank = 10; return "model/weights" }
    if (path ~ /^model\/ops\//) { rank = 10; return "model/ops" }
    if (path ~ /^model\/(optim|parallel|checkpoint)\//) {
      rank = 20; match(path, /^model\/[a-z]+/); return substr(path, 1, RLENGTH)
    }
    if (path ~ /^reward\/preference\//) { rank = 60; return "reward/preference" }
    if (path ~ /^model\/layers\//) { rank = 30; return "model/layers" }
    if (path ~ /^model\//) { rank = 40; return "model" }
    match(path, /^[a-z]+/)
    top = substr(path, 1, RLENGTH)
    rank = (top in ranks) ? ranks[top] : -1
    return top
  }
  BEGIN {
    split("core 0 data 10 reward 10 rollout 50 sft 50 grpo 60 distill 60 cli 70 tests 80", t, " ")
    for (i = 1; i in t; i += 2) ranks[t[i]] = t[i + 1] + 0
  }
  FNR == 1 { unit = unit_of(FILENAME); own = rank }
  /^[ \t]*#[ \t]*include[ \t]*"/ {
    split($0, part, "\"")
    if (part[2] == "build_info_values.h" || part[2] == "tiny_recipe.h") next  # written by the build
    if (part[2] ~ /^\.\.?\// || part[2] !~ /\//) {
      print FILENAME ":" FNR ": \"" part[2] "\": write the path from the top of the tree"
      next
    }
    other = unit_of(part[2])
    if (rank < 0) print FILENAME ":" FNR ": \"" part[2] "\" is in no folder of Temper"
    else if (other != unit && (rank >= own || (unit ~ /^(data|reward)$/ && other ~ /^model/)))
      print FILENAME ":" FNR ": " unit " may not include " part[2] " (" other ")"
  }
' | fail_on_complaints
