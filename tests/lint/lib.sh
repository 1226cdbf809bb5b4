# Shared by the lint scripts: the tree to look at, and its sources. Only bash, awk and find are
# needed, so that the checks run on a minimal machine. Usage of every script: SCRIPT [ROOT]
set -euo pipefail
cd "${1:-$(dirname "$0")/../..}"

folders=()
for folder in core data model rollout reward grpo sft distill cli tests; do
  if [ -d "$folder" ]; then folders+=("$folder"); fi
done

# Prints the names of the sources, one a line; with arguments only those with these extensions.
sources() {
  local extension
  for extension in ${@:-h cc cu cuh}; do
    find "${folders[@]}" -type f -name "*.$extension"
  done | LC_ALL=C sort
}

# Reads complaints ("file:line: what is wrong") and fails if there are any.
fail_on_complaints() {
  local complaints
  complaints=$(cat)
  if [ -n "$complaints" ]; then
    printf '%s\n' "$complaints"
    echo "$(printf '%s\n' "$complaints" | wc -l) complaint(s)"
    exit 1
  fi
  echo "clean: $(sources | wc -l) files"
}
