#include "core/did_you_mean.h"

#include "core/error.h"

namespace temper {

std::string did_you_mean(std::string_view name, const std::vector<std::string>& known) {
  const std::string nearest = nearest_name(name, known.data(), known.size());
  return nearest.empty() ? "" : "did you mean '" + nearest + "'?";
}

}  // namespace temper
