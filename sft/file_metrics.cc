#include "sft/file_metrics.h"

#include <algorithm>
#include <filesystem>

#include "core/error.h"

namespace temper {
namespace {

std::vector<std::string> names_of(std::span<const std::string> files) {
  std::vector<std::string> names;
  for (const std::string& file : files) names.push_back(std::filesystem::path(file).stem());
  const std::vector<std::string> stems = names;
  for (size_t f = 0; f < files.size(); ++f)
    if (std::count(stems.begin(), stems.end(), stems[f]) > 1) names[f] = files[f];
  return names;
}

}  // namespace

FileMetrics::FileMetrics(std::span<const MixturePart> parts, std::span<const std::string> files)
    : names_(names_of(files)) {
  require(files.empty() || files.size() == parts.size(), "a name for each file");
  for (const MixturePart& part : parts)
    ends_.push_back((ends_.empty() ? 0 : ends_.back()) + part.count);
}

void FileMetrics::add(StepWriter& writer, std::span<const int64_t> samples,
                      std::span<const SampleLoss> losses) const {
  require(samples.size() == losses.size(), "a loss for each sample");
  if (names_.size() < 2) return;
  std::vector<SampleLoss> sums(names_.size());
  std::vector<double> counts(names_.size(), 0.0);
  for (size_t i = 0; i < samples.size(); ++i) {
    const auto file = static_cast<size_t>(std::upper_bound(ends_.begin(), ends_.end(), samples[i]) -
                                          ends_.begin());
    sums[file].loss += losses[i].loss;
    sums[file].targets += losses[i].targets;
    ++counts[file];
  }
  for (size_t f = 0; f < names_.size(); ++f) {
    const std::string prefix = "data/" + names_[f] + "/";
    writer.add_metric(prefix + "samples", counts[f]);
    if (sums[f].targets == 0) continue;
    const auto tokens = static_cast<double>(sums[f].targets);
    writer.add_metric(prefix + "tokens", tokens);
    writer.add_metric(prefix + "loss", sums[f].loss / tokens);
  }
}

}  // namespace temper
