#!/usr/bin/env bash
# Runs the goldens on a folder that has none. Those of models must fail; those of a file that is not
# there must say that they are skipped, in the words that CTest takes for the result "skipped".
# Usage: skipped_tests.sh CTEST BUILD
set -euo pipefail
empty=$(mktemp -d)
trap 'rm -rf "$empty"' EXIT
export TEMPER_GOLDEN=$empty
count() { grep -c "$1" || true; }

listed=$("$1" --test-dir "$2" --show-only=json-v1 -R '^grpo/golden')
[ "$(count '"SKIP_REGULAR_EXPRESSION"' <<<"$listed")" = 5 ]
[ "$(count '"skipped:"' <<<"$listed")" = 5 ]
said=$("$2/test_grpo" 'golden*' 2>&1)
[ "$(count '^skipped: ' <<<"$said")" = 5 ]
for name in 'logits and nll of every model' "every model's folder loads with all its names"; do
  if "$2/test_model" "golden: $name" >/dev/null 2>&1; then
    echo "passed without a model: $name"
    exit 1
  fi
done
