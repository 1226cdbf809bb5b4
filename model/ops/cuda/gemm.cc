#include "model/ops/cuda/gemm.h"

#include <algorithm>
#include <bit>

#include "core/cuda/runtime.h"

namespace temper::cuda {
namespace {

cudaDataType_t type_of(DType dtype) {
  switch (dtype) {
    case DType::f32:
      return CUDA_R_32F;
    case DType::bf16:
      return CUDA_R_16BF;
    default:
      require(false, "gemm: an operand is neither f32 nor bf16");
      return CUDA_R_32F;
  }
}

// The largest power of two that every row of the operand is aligned to, up to 16 bytes.
int64_t alignment_of(const Operand& o) {
  const auto unit = static_cast<uint64_t>(size_of(o.dtype));
  const uint64_t bits = reinterpret_cast<uint64_t>(o.data) |
                        static_cast<uint64_t>(o.stride) * unit |
                        static_cast<uint64_t>(o.batch_stride) * unit | 16U;
  return int64_t{1} << std::countr_zero(bits);
}

// cuBLASLt is column-major: a row-major matrix is its transpose there, with rows and columns
// exchanged. So C^T = B^T A^T is asked for, B first.
cublasLtMatrixLayout_t layout_of(const Operand& o, int64_t batch) {
  cublasLtMatrixLayout_t layout = nullptr;
  check(cublasLtMatrixLayoutCreate(&layout, type_of(o.dtype), static_cast<uint64_t>(o.cols),
                                   static_cast<uint64_t>(o.rows), std::max(o.stride, o.cols)));
  if (batch > 1) {
    const auto count = static_cast<int32_t>(batch);
    check(cublasLtMatrixLayoutSetAttribute(layout, CUBLASLT_MATRIX_LAYOUT_BATCH_COUNT, &count,
                                           sizeof count));
    check(cublasLtMatrixLayoutSetAttribute(layout, CUBLASLT_MATRIX_LAYOUT_STRIDED_BATCH_OFFSET,
                                           &o.batch_stride, sizeof o.batch_stride));
  }
  return layout;
}

void set_alignment(cublasLtMatmulPreference_t preference,
                   cublasLtMatmulPreferenceAttributes_t attribute, const Operand& o) {
  const auto bytes = static_cast<uint32_t>(alignment_of(o));
  check(cublasLtMatmulPreferenceSetAttribute(preference, attribute, &bytes, sizeof bytes));
}

// `from` is C where the product starts from nothing.
GemmPlan make_plan(Runtime& runtime, const Operand& c, const Operand& a, const Operand& b,
                   const Operand& from, int64_t batch) {
  GemmPlan plan;
  check(cublasLtMatmulDescCreate(&plan.operation, CUBLAS_COMPUTE_32F, CUDA_R_32F));
  const auto transpose = [&](cublasLtMatmulDescAttributes_t attribute, bool transposed) {
    const cublasOperation_t operation = transposed ? CUBLAS_OP_T : CUBLAS_OP_N;
    check(cublasLtMatmulDescSetAttribute(plan.operation, attribute, &operation, sizeof operation));
  };
  transpose(CUBLASLT_MATMUL_DESC_TRANSA, b.transposed);
  transpose(CUBLASLT_MATMUL_DESC_TRANSB, a.transposed);
  plan.a = layout_of(b, batch);
  plan.b = layout_of(a, batch);
  plan.c = layout_of(from, batch);
  plan.d = layout_of(c, batch);

  cublasLtMatmulPreference_t preference = nullptr;
  check(cublasLtMatmulPreferenceCreate(&preference));
  check(cublasLtMatmulPreferenceSetAttribute(preference, CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES,
                                             &runtime.workspace_bytes,
                                             sizeof runtime.workspace_bytes));
  set_alignment(preference, CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_A_BYTES, b);
  set_alignment(preference, CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_B_BYTES, a);
  set_alignment(preference, CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_C_BYTES, from);
  set_alignment(preference, CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_D_BYTES, c);
  cublasLtMatmulHeuristicResult_t best{};
  int found = 0;
  const cublasStatus_t status = cublasLtMatmulAlgoGetHeuristic(
      runtime.blas, plan.operation, plan.a, plan.b, plan.c, plan.d, preference, 1, &best, &found);
  cublasLtMatmulPreferenceDestroy(preference);
  check(status);
  require(found > 0, "cuBLASLt knows no way to do a product of this shape");
  plan.algorithm = best.algo;
  return plan;
}

}  // namespace

Operand operand(const Tensor& t, bool transposed) {
  return {.data = t.data,
          .dtype = t.dtype,
          .rows = t.rows(),
          .cols = t.cols(),
          .stride = t.rows() > 1 ? t.row_stride : t.cols(),
          .batch_stride = 0,
          .transposed = transposed};
}

void gemm(Context& ctx, const Operand& c, const Operand& a, const Operand& b,
          const std::optional<Operand>& from, int64_t batch) {
  const int64_t inner = a.transposed ? a.rows : a.cols;
  require((b.transposed ? b.cols : b.rows) == inner, "gemm: the inner dimensions differ");
  require((a.transposed ? a.cols : a.rows) == c.rows, "gemm: the rows differ");
  require((b.transposed ? b.rows : b.cols) == c.cols, "gemm: the columns differ");
  require(a.dtype == b.dtype, "gemm: the factors have different dtypes");
  if (c.rows == 0 || c.cols == 0 || batch == 0) return;
  Runtime& runtime = runtime_of(ctx);
  std::vector<int64_t> key;
  const Operand& start = from.has_value() ? *from : c;
  require(start.dtype == c.dtype && start.rows == c.rows && start.cols == c.cols,
          "gemm: what the product starts from is not like its result");
  for (const Operand* o : {&c, &a, &b, &start})
    for (const int64_t part : {static_cast<int64_t>(o->dtype), o->rows, o->cols, o->stride,
                               o->batch_stride, int64_t{o->transposed}, alignment_of(*o)})
      key.push_back(part);
  key.push_back(batch);
  auto at = runtime.plans.find(key);
  if (at == runtime.plans.end())
    at = runtime.plans.emplace(key, make_plan(runtime, c, a, b, start, batch)).first;
  const GemmPlan& plan = at->second;
  const float one = 1.0F, beta = from.has_value() ? 1.0F : 0.0F;
  check(cublasLtMatmul(runtime.blas, plan.operation, &one, b.data, plan.a, a.data, plan.b, &beta,
                       start.data, plan.c, c.data, plan.d, &plan.algorithm, runtime.workspace,
                       runtime.workspace_bytes, runtime.stream));
}

}  // namespace temper::cuda
