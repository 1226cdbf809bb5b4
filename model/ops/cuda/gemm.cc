#include "model/ops/cuda/gemm.h"

#include <algorithm>
#include <bit>

#include "core/cuda/runtime.h"
#include "model/ops/cuda/gemm_choice.h"

namespace temper::cuda {
namespace {

cudaDataType_t type_of(DType dtype) {
  switch (dtype) {
    case DType::f32:
      return CUDA_R_32F;
    case DType::bf16:
      return CUDA_R_16BF;
    case DType::f16:
      return CUDA_R_16F;
    default:
      require(false, "gemm: an operand is not f32, bf16 or f16");
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
GemmPlan make_plan(const Operand& c, const Operand& a, const Operand& b, const Operand& from,
                   int64_t batch) {
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

  return plan;
}

// What cuBLASLt suggests for a plan, the best first.
std::vector<cublasLtMatmulHeuristicResult_t> suggest(Runtime& runtime, const PlannedGemm& gemm,
                                                     int most) {
  cublasLtMatmulPreference_t preference = nullptr;
  check(cublasLtMatmulPreferenceCreate(&preference));
  check(cublasLtMatmulPreferenceSetAttribute(preference, CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES,
                                             &runtime.workspace_bytes,
                                             sizeof runtime.workspace_bytes));
  set_alignment(preference, CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_A_BYTES, gemm.b);
  set_alignment(preference, CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_B_BYTES, gemm.a);
  set_alignment(preference, CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_C_BYTES, gemm.from);
  set_alignment(preference, CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_D_BYTES, gemm.c);
  std::vector<cublasLtMatmulHeuristicResult_t> results(static_cast<size_t>(most));
  int found = 0;
  const GemmPlan& p = gemm.plan;
  const cublasStatus_t status = cublasLtMatmulAlgoGetHeuristic(
      runtime.blas, p.operation, p.a, p.b, p.c, p.d, preference, most, results.data(), &found);
  cublasLtMatmulPreferenceDestroy(preference);
  check(status);
  require(found > 0, "cuBLASLt knows no way to do a product of this shape");
  results.resize(static_cast<size_t>(found));
  return results;
}

// A shape that comes again and again is worth timing: the others would take longer to time than
// they ever take. plan.microseconds counts the uses down from 0 until then.
constexpr float kUses = 32.0F;
constexpr double kWorth = 1e9;  // multiplications and additions of one product
constexpr int kSuggestions = 8;

void time_when_due(Runtime& runtime, GemmPlan& plan, const PlannedGemm& gemm, double operations) {
  if (plan.microseconds > 0.0F || operations < kWorth || --plan.microseconds > -kUses) return;
  cudaStreamCaptureStatus capture{};
  check(cudaStreamIsCapturing(runtime.stream, &capture));
  if (capture != cudaStreamCaptureStatusNone) return;
  const auto suggestions = suggest(runtime, gemm, kSuggestions);
  const GemmChoice choice = choose_gemm(runtime, gemm, suggestions);
  plan.algorithm = choice.algorithm;
  plan.microseconds = choice.microseconds;
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
  const bool is_new = at == runtime.plans.end();
  if (is_new) at = runtime.plans.emplace(key, make_plan(c, a, b, start, batch)).first;
  GemmPlan& plan = at->second;
  const float one = 1.0F, beta = from.has_value() ? 1.0F : 0.0F;
  const PlannedGemm planned{plan, c, a, b, start, beta, batch};
  if (is_new) plan.algorithm = suggest(runtime, planned, 1).front().algo;
  time_when_due(runtime, plan, planned,
                2.0 * static_cast<double>(batch * c.rows * c.cols) * static_cast<double>(inner));
  check(cublasLtMatmul(runtime.blas, plan.operation, &one, b.data, plan.a, a.data, plan.b, &beta,
                       start.data, plan.c, c.data, plan.d, &plan.algorithm, runtime.workspace,
                       runtime.workspace_bytes, runtime.stream));
}

}  // namespace temper::cuda
