// One bf16 product by cuBLASLt's first suggestion and nothing else of ours, to see what
// compute-sanitizer says of cuBLASLt's own kernels (docs/testing.md):
//   compute-sanitizer --tool racecheck build/cublaslt_alone M N K
#include <cublasLt.h>
#include <cuda_runtime.h>

#include <cstdio>
#include <cstdlib>

int main(int argc, char** argv) {
  const auto number = [&](int i) { return argc > i ? std::strtoull(argv[i], nullptr, 10) : 1024; };
  const size_t m = number(1), n = number(2), k = number(3), workspace_bytes = size_t{32} << 20;
  void *a = nullptr, *b = nullptr, *c = nullptr, *workspace = nullptr;
  cudaMalloc(&a, m * k * 2), cudaMalloc(&b, n * k * 2), cudaMalloc(&c, m * n * 2);
  cudaMalloc(&workspace, workspace_bytes);
  cudaMemset(a, 0x3C, m * k * 2), cudaMemset(b, 0x3C, n * k * 2);
  cublasLtHandle_t blas = nullptr;
  cublasLtCreate(&blas);
  cublasLtMatmulDesc_t product = nullptr;
  cublasLtMatmulDescCreate(&product, CUBLAS_COMPUTE_32F, CUDA_R_32F);
  const cublasOperation_t transposed = CUBLAS_OP_T;
  cublasLtMatmulDescSetAttribute(product, CUBLASLT_MATMUL_DESC_TRANSA, &transposed,
                                 sizeof transposed);
  cublasLtMatrixLayout_t a_layout = nullptr, b_layout = nullptr, c_layout = nullptr;
  cublasLtMatrixLayoutCreate(&a_layout, CUDA_R_16BF, k, m, static_cast<int64_t>(k));
  cublasLtMatrixLayoutCreate(&b_layout, CUDA_R_16BF, k, n, static_cast<int64_t>(k));
  cublasLtMatrixLayoutCreate(&c_layout, CUDA_R_16BF, m, n, static_cast<int64_t>(m));
  cublasLtMatmulPreference_t preference = nullptr;
  cublasLtMatmulPreferenceCreate(&preference);
  cublasLtMatmulPreferenceSetAttribute(preference, CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES,
                                       &workspace_bytes, sizeof workspace_bytes);
  cublasLtMatmulHeuristicResult_t first{};
  int found = 0;
  cublasLtMatmulAlgoGetHeuristic(blas, product, a_layout, b_layout, c_layout, c_layout, preference,
                                 1, &first, &found);
  const float one = 1.0F, zero = 0.0F;
  const cublasStatus_t status =
      cublasLtMatmul(blas, product, &one, a, a_layout, b, b_layout, &zero, c, c_layout, c, c_layout,
                     &first.algo, workspace, workspace_bytes, nullptr);
  const cudaError_t end = cudaDeviceSynchronize();
  std::printf("%zu x %zu x %zu: %s, %s\n", m, n, k, cublasLtGetStatusString(status),
              cudaGetErrorString(end));
  return status == CUBLAS_STATUS_SUCCESS && end == cudaSuccess ? 0 : 1;
}
