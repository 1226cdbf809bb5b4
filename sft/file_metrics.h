// What a step did for each data file, where there are several.
#pragma once

#include <span>
#include <string>
#include <vector>

#include "data/mixture.h"
#include "data/store_step.h"

namespace temper {

// One sample of a step: its counted tokens, and the sum of their losses. Units: nats.
struct SampleLoss {
  double loss = 0.0;
  int64_t targets = 0;
};

class FileMetrics {
 public:
  // The samples of file f are the parts[f].count behind those of the files before it. The metrics
  // carry the file's name without folder and extension, or its path where two names are alike.
  FileMetrics(std::span<const MixturePart> parts, std::span<const std::string> files);

  // Adds data/<file>/samples and, of a file with samples in the step, data/<file>/tokens (that
  // carried loss) and data/<file>/loss, nats a token. Does nothing if there is one file.
  // Shapes: `samples` holds places among all samples, `losses` is as long.
  void add(StepWriter& writer, std::span<const int64_t> samples,
           std::span<const SampleLoss> losses) const;

 private:
  std::vector<int64_t> ends_;
  std::vector<std::string> names_;
};

}  // namespace temper
