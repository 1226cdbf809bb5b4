// Choosing among cuBLASLt's suggestions for a product by time.
#pragma once

#include <span>

#include "core/cuda/runtime.h"
#include "model/ops/cuda/gemm.h"

namespace temper::cuda {

// A planned product; its plan's algorithm is the first suggestion.
struct PlannedGemm {
  const GemmPlan& plan;
  const Operand &c, &a, &b, &from;
  float beta;
  int64_t batch;
};

struct GemmChoice {
  cublasLtMatmulAlgo_t algorithm;
  float microseconds;  // of a run
};

// The fastest of the suggestions that give the bits of the first one on random numbers (which sums
// in another order do not), so that the choice shows in time alone. Works in memory of its own for
// its duration; where there is none left, the first suggestion stands. Waits for the device.
GemmChoice choose_gemm(Runtime& runtime, const PlannedGemm& gemm,
                       std::span<const cublasLtMatmulHeuristicResult_t> suggestions);

}  // namespace temper::cuda
