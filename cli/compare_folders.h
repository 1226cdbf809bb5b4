// Whether two folders, of a run or of a whole chain, hold the same.
#pragma once

#include "cli/compare_runs.h"

namespace temper {

// Compares every run below `a` as compare_runs() does, of a chain's own database which stages are
// done and what each read and left, and every other file byte by byte; `what` names the folder too.
// Locks and checkpoints but the last are not compared, nor what is in `b` alone (a chain keeps what
// it has set aside).
std::vector<RunDifference> compare_folders(const std::filesystem::path& a,
                                           const std::filesystem::path& b);

}  // namespace temper
