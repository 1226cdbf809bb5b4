#include "core/gpu_architectures.h"

#include <algorithm>
#include <charconv>

namespace temper {
namespace {

bool one_runs_on(std::string_view name, int card) {
  int built = 0;
  const auto [end, error] = std::from_chars(name.data(), name.data() + name.size(), built);
  if (error != std::errc()) return true;
  std::string_view rest = name.substr(static_cast<size_t>(end - name.data()));
  if (rest.starts_with("a")) return card == built;
  const bool code = rest != "-virtual" && card / 10 == built / 10;
  const bool text = rest != "-real";
  return card >= built && (code || text);
}

}  // namespace

bool has_hopper_code(std::string_view architectures) {
  return architectures.starts_with("90a") || architectures.find(" 90a") != std::string_view::npos;
}

bool runs_on(std::string_view architectures, int major, int minor) {
  while (!architectures.empty()) {
    const size_t end = std::min(architectures.find(' '), architectures.size());
    if (end > 0 && one_runs_on(architectures.substr(0, end), 10 * major + minor)) return true;
    architectures.remove_prefix(std::min(end + 1, architectures.size()));
  }
  return false;
}

}  // namespace temper
