#include "core/error.h"

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "core/edit_distance.h"

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

UserError::UserError(Blame blame) : std::runtime_error(render(blame)), blame_(std::move(blame)) {}

void throw_errno(const std::string& what) {
  const int code = errno;
  std::string text = what + ": " + std::strerror(code);
  if (code == ENOSPC || code == EDQUOT || code == EFBIG)
    text +=
        "\n  hint:     free some space (or raise the limit on files), then run it again; "
        "what was written whole is kept";
  if (code == EROFS || code == EACCES || code == EPERM)
    text += "\n  hint:     name a folder that can be written to, or change its permissions";
  throw SystemError(text);
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
