// What the tests of the training stages share: a store in a temporary folder, a toy to learn, and
// what a run left behind.
#pragma once

#include <cstring>
#include <sstream>
#include <string>
#include <vector>

#include "core/interrupt.h"
#include "core/log.h"
#include "data/store_reader.h"
#include "data/store_step.h"
#include "model/checkpoint/hf_folder.h"
#include "tests/support/small_models.h"
#include "tests/support/temporary_folder.h"

namespace temper::test {

// One run of a stage in a folder of its own.
struct StageRun {
  explicit StageRun(const std::string& run_kind) : kind(run_kind), store(dir.path()) {
    id = store.begin_run({.kind = kind,
                          .model = "small",
                          .seed = 1,
                          .code_version = "test",
                          .command_line = "test"});
  }
  // The metric's values, by step.
  std::vector<double> curve(const std::string& name) {
    std::vector<double> out;
    for (const CurvePoint& p : read_curve(store.database(), id, kind, name)) out.push_back(p.value);
    return out;
  }
  int64_t committed_steps() {
    return static_cast<int64_t>(read_steps(store.database(), id, kind).size());
  }
  std::vector<int64_t> checkpoint_steps() {
    std::vector<int64_t> out;
    for (const CheckpointRow& row : read_checkpoints(store.database(), id))
      out.push_back(row.key.step);
    return out;
  }

  std::string kind;
  TemporaryFolder dir;
  Store store;
  int64_t id = 0;
  std::ostringstream sink;
  Logger log{sink};
  Interrupt interrupt;
};

inline bool same_weights(const OwnedWeights& a, const OwnedWeights& b) {
  const auto same = [](const Tensor& x, const Tensor& y) {
    return x.dtype == y.dtype && x.numel() == y.numel() &&
           (x.numel() == 0 ||
            std::memcmp(x.data, y.data, static_cast<size_t>(x.numel()) * size_of(x.dtype)) == 0);
  };
  return same(a.storage.view, b.storage.view) && same(a.router_biases.view, b.router_biases.view);
}

}  // namespace temper::test
