// A run's steps against the same steps computed again.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "data/store_reader.h"

namespace temper {

struct StepDifference {
  int64_t step = 0;
  std::string where;          // "sample 17 (group 0.3)", "reward math of sample 17", "metric loss"
  std::string column;         // or ""
  std::string stored, again;  // in words
};

// Compares what the step has in `stored` with what it has in the database `again`, whose run is
// `again_run`: every column of its samples and rewards and every metric, bit for bit, without
// times, and the checksum of the weights behind it. What the stored run did not keep is passed
// over.
std::vector<StepDifference> compare_step(Database& stored, const StepKey& key, Database& again,
                                         int64_t again_run);

}  // namespace temper
