#include "core/error.h"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <vector>

namespace temper {
namespace {

std::string render(const Blame& blame) {
  std::string text;
  if (!blame.where.empty()) text += blame.where + ": ";
  text += blame.what;
  if (!blame.expected.empty()) text += "\n  expected: " + blame.expected;
  if (!blame.found.empty()) text += "\n  found:    " + blame.found;
  if (!blame.hint.empty()) text += "\n  hint:     " + blame.hint;
  return text;
}

}  // namespace

size_t edit_distance(std::string_view a, std::string_view b) {
  std::vector<size_t> row(b.size() + 1);
  for (size_t j = 0; j <= b.size(); ++j) row[j] = j;
  for (size_t i = 1; i <= a.size(); ++i) {
    size_t diagonal = row[0];
    row[0] = i;
    for (size_t j = 1; j <= b.size(); ++j) {
      const size_t substitute = diagonal + (a[i - 1] != b[j - 1]);
      diagonal = row[j];
      row[j] = std::min({row[j] + 1, row[j - 1] + 1, substitute});
    }
  }
  return row[b.size()];
}

UserError::UserError(Blame blame) : std::runtime_error(render(blame)), blame_(std::move(blame)) {}

void throw_errno(const std::string& what) {
  throw SystemError(what + ": " + std::strerror(errno));
}

void require(bool holds, std::string_view message, std::source_location where) {
  if (holds) return;
  throw ContractError(std::string(where.file_name()) + ":" + std::to_string(where.line()) + ": " +
                      std::string(message));
}

std::string nearest_name(std::string_view name, const std::string* known, size_t count) {
  std::string best;
  size_t best_distance = std::max<size_t>(2, name.size() / 3) + 1;  // farther is no suggestion
  for (size_t i = 0; i < count; ++i) {
    const size_t distance = edit_distance(name, known[i]);
    if (distance < best_distance) {
      best_distance = distance;
      best = known[i];
    }
  }
  return best;
}

}  // namespace temper
