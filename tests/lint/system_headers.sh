#!/usr/bin/env bash
# Each outside library is seen by one place only, so that it can be replaced there; and nothing
# below cli/ prints, or reads the environment.
. "$(dirname "$0")/lib.sh"

sources | xargs awk '
  function only(pattern, home) {
    if ($0 ~ ("^[ \t]*#[ \t]*include[ \t]*[<\"]" pattern) && FILENAME !~ home)
      print FILENAME ":" FNR ": " $2 " belongs in " home
  }
  function once(header) {
    if ($0 !~ ("^[ \t]*#[ \t]*include[ \t]*<" header ">")) return
    if (header in home_of)
      print FILENAME ":" FNR ": <" header "> is already included by " home_of[header]
    home_of[header] = FILENAME
  }
  /^[ \t]*#/ {
    only("(cuda|cublas|cudnn|cusparse|curand|cub/)", "^(core/cuda|core/comm|model/ops/cuda|tests/gpu)/")
    only("(Eigen|unsupported/Eigen)/", "^tests/bench/")
    only("rapidjson/", "^core/json\\.")
    only("CLI/", "^cli/command_line\\.cc$")
    only("catch2/", "^tests/support/")
    once("sqlite3\\.h"); once("pcre2\\.h"); once("nccl\\.h"); once("seccomp\\.h")
    once("curl/curl\\.h"); once("re2/re2\\.h")
    next
  }
  FILENAME !~ /^(cli|tests)\// {
    line = $0
    sub(/\/\/.*/, "", line)
    if (line ~ /std::(cout|cerr|clog)|(^|[^a-z_n])(printf|puts|putchar|fprintf) *\(/)
      print FILENAME ":" FNR ": prints; return the text or use core/log.h"
    if (line ~ /getenv *\(/) print FILENAME ":" FNR ": reads the environment; take an option"
  }
' | fail_on_complaints
