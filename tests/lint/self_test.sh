#!/usr/bin/env bash
# The lint scripts find what they are for: each mistake, alone in a small tree, fails its script,
# and a clean tree passes.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
tree=$(mktemp -d)
trap 'rm -rf "$tree"' EXIT
failures=0

# fresh: a tree with one clean header and source.
fresh() {
  rm -rf "$tree"
  mkdir -p "$tree"/{core,data,model/ops/cpu,model/layers,sft,rollout,cli,tests}
  printf '// A thing.\n#pragma once\n\n// Does it.\nvoid f(int x);\n' >"$tree/core/a.h"
  printf '#include "core/a.h"\n\nvoid f(int) {}\n' >"$tree/core/a.cc"
}

# expect pass|fail SCRIPT WHAT: runs the script on the tree.
expect() {
  local outcome=pass
  bash "$here/$2" "$tree" >"$tree.log" 2>&1 || outcome=fail
  if [ "$outcome" != "$1" ]; then
    echo "$2 on $3: expected $1, got $outcome"
    cat "$tree.log"
    failures=$((failures + 1))
  fi
  rm -f "$tree.log"
}

# mistake SCRIPT WHAT FILE CONTENT: a tree with this one file more fails.
mistake() {
  fresh
  mkdir -p "$(dirname "$tree/$3")"
  printf "$4" >"$tree/$3"
  expect fail "$1" "$2"
}

# fine SCRIPT WHAT FILE CONTENT: a tree with this one file more passes.
fine() {
  fresh
  mkdir -p "$(dirname "$tree/$3")"
  printf "$4" >"$tree/$3"
  expect pass "$1" "$2"
}

lines() { local i; for ((i = 0; i < $1; i++)); do printf '  x();\\n'; done; }

fresh
for script in include_order system_headers sizes text contracts; do
  expect pass $script.sh 'a clean tree'
done

mistake include_order.sh 'core seeing data' core/b.cc '#include "data/d.h"\n'
mistake include_order.sh 'an op seeing a layer' model/ops/b.cc '#include "model/layers/mla.h"\n'
mistake include_order.sh 'stages of one rank' sft/b.cc '#include "rollout/engine.h"\n'
mistake include_order.sh 'data seeing the model' data/b.cc '#include "model/config.h"\n'
mistake include_order.sh 'a relative path' core/b.cc '#include "../data/d.h"\n'
mistake include_order.sh 'an unknown folder' core/b.cc '#include "lib/d.h"\n'
fine include_order.sh 'a layer seeing an op' model/layers/b.cc '#include "model/ops/linear.h"\n'
fine include_order.sh 'an op seeing the config' model/ops/b.cc '#include "model/config.h"\n'
fine include_order.sh 'cli seeing a stage' cli/b.cc '#include "sft/trainer.h"\n'

mistake system_headers.sh 'Eigen in core' core/b.cc '#include <Eigen/Core>\n'
fine system_headers.sh 'Eigen at home' tests/bench/b.cc '#include <Eigen/Core>\n'
mistake system_headers.sh 'CUDA in a layer' model/layers/b.cc '#include <cuda_runtime.h>\n'
mistake system_headers.sh 'CLI11 in a stage' sft/b.cc '#include <CLI/CLI.hpp>\n'
mistake system_headers.sh 'stdout in a stage' sft/b.cc 'void f() { std::cout << 1; }\n'
mistake system_headers.sh 'printf in a stage' sft/b.cc 'void f() { std::printf("x"); }\n'
fine system_headers.sh 'snprintf in a stage' sft/b.cc 'void f() { std::snprintf(b, 3, "x"); }\n'
mistake system_headers.sh 'the environment' data/b.cc 'void f() { std::getenv("X"); }\n'
fine system_headers.sh 'stdout in cli' cli/b.cc 'void f() { std::cout << 1; }\n'
fresh
printf '#include <sqlite3.h>\n' | tee "$tree/data/b.cc" >"$tree/data/c.cc"
expect fail system_headers.sh 'sqlite3.h in two files'

mistake sizes.sh 'a long header' core/b.h "$(lines 201)"
fine sizes.sh 'a header at the limit' core/b.h "$(lines 200)"
mistake sizes.sh 'a long source' core/b.cc "$(lines 401)"
mistake sizes.sh 'a long function' core/b.cc "void f() {\n$(lines 59)}\n"
fine sizes.sh 'a function at the limit' core/b.cc "void f() {\n$(lines 58)}\n"
mistake sizes.sh 'a long function over two lines' core/b.cc \
  "void f(int a,\n       int b) {\n$(lines 60)}\n"
mistake sizes.sh 'a wide line' core/b.cc "// $(printf '%98s' '' | tr ' ' x)\n"
fine sizes.sh 'a line at the limit' core/b.cc "// $(printf '%97s' '' | tr ' ' x)\n"
fine sizes.sh 'a wide line in bytes only' core/b.cc "// $(printf '%90s' '')\303\251\303\251\303\251\303\251\303\251\303\251|\n"

mistake text.sh 'a note' core/b.cc '// TO''DO: later\n'
mistake text.sh 'a tab' core/b.cc 'int x;\tint y;\n'
mistake text.sh 'spaces at a line end' core/b.cc 'int x; \n'
mistake text.sh 'no pragma' core/b.h '// B.\nint x;\n'
mistake text.sh 'no first line' core/b.h '#pragma once\n'

mistake contracts.sh 'a bare function' core/b.h '// B.\n#pragma once\n\nint g(int x);\n'
fine contracts.sh 'a remark at the end' core/b.h '// B.\n#pragma once\n\nint g(int x);  // the g\n'
mistake contracts.sh 'an op without shapes' model/ops/b.h \
  '// B.\n#pragma once\n\n// y = x.\nvoid g(Context& ctx, Tensor y, Tensor x);\n'
mistake contracts.sh 'a backward op without its sum' model/ops/b.h \
  '// B.\n#pragma once\n\n// Shapes: [n].\nvoid g_backward(Context& ctx, Tensor dx, Tensor dy);\n'
fine contracts.sh 'a whole op' model/ops/b.h \
  '// B.\n#pragma once\n\n// Shapes: [n]. Types: f32. Adds into: dx.\nvoid g_backward(Context& ctx, Tensor dx, Tensor dy);\n'
mistake contracts.sh 'an op without types' model/ops/b.h \
  '// B.\n#pragma once\n\n// Shapes: [n]. Adds into: dx.\nvoid g_backward(Context& ctx, Tensor dx, Tensor dy);\n'
mistake contracts.sh 'parts out of order' core/b.h \
  '// B.\n#pragma once\n\n// Throws UserError.\n// Units: s.\nint g(int x);\n'
mistake contracts.sh 'a bare method' core/b.h \
  '// B.\n#pragma once\n\nclass B {\n public:\n  void turn(int x);\n};\n'
fine contracts.sh 'methods that say what they are' core/b.h \
  '// B.\n#pragma once\n\nclass B {\n public:\n  int size() const;\n  // Turns.\n  void turn(int x);\n\n private:\n  void hidden(int x);\n};\n'

mistake links.sh 'a broken link' README.md 'see [this](docs/none.md)\n'
fine links.sh 'a link that leads somewhere' README.md 'see [this](core/a.h#top) and [that](https://x.y)\n'

if [ "$failures" -gt 0 ]; then
  echo "$failures failure(s)"
  exit 1
fi
echo "every mistake was found"
