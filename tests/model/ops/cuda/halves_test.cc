// Halves of f32 numbers on the GPU, alone and in AdamW.
#include "model/ops/halves.h"

#include <cmath>

#include "model/ops/adamw.h"
#include "tests/model/ops/cuda/cuda_op_test.h"

namespace temper {
namespace {

using test::Sides;

TEST_CASE("cuda: halves of f32 numbers are the CPU's", "[ops][cuda]") {
  Context* ctx = test::gpu();
  if (ctx == nullptr) return;
  for (const DType dtype : {DType::bf16, DType::f16}) {
    Sides s{*ctx, DType::f32};
    const int64_t n = 4097;
    const Tensor x = s.normal({n});
    for (int64_t i = 0; i < n; i += 3) {  // half-way between two bf16
      uint32_t bits = 0;
      std::memcpy(&bits, x.get<float>() + i, 4);
      bits = (bits & 0xFFFF0000U) | 0x8000U;
      std::memcpy(x.get<float>() + i, &bits, 4);
    }
    for (int64_t i = 1; i < n; i += 3)  // down to where f16 is 0, and up to where it is infinite
      x.get<float>()[i] *= std::ldexp(1.0F, static_cast<int>(i % 60) - 42);
    const OwnedTensor high = allocate(dtype, {n}), low = allocate(DType::u8, {n, 2});
    const OwnedTensor gpu_high = allocate(dtype, {n}, Device::cuda);
    const OwnedTensor gpu_low = allocate(DType::u8, {n, 2}, Device::cuda);
    split_halves(s.host, high.view, low.view, x);
    split_halves(s.ctx, gpu_high.view, gpu_low.view, s.up(x));
    CHECK(test::same_bits(to_host(s.ctx, gpu_high.view).view, high.view));
    CHECK(test::same_bits(to_host(s.ctx, gpu_low.view).view, low.view));
    const Tensor joined = s.make.poisoned(DType::f32, {n}), back = s.poisoned(x);
    join_halves(s.host, joined, high.view, low.view);
    join_halves(s.ctx, back, gpu_high.view, gpu_low.view);
    CHECK(test::same_bits(s.on_gpu.download(s.make, back), joined));
    CHECK((dtype == DType::f16 || test::same_bits(joined, x)));
  }
}

TEST_CASE("cuda: AdamW on halves has the bits of AdamW on f32", "[ops][cuda]") {
  Context* ctx = test::gpu();
  if (ctx == nullptr) return;
  for (const DType dtype : {DType::bf16, DType::f16})
    for (const int64_t n : {1, 7, 1003, 4096}) {
      Sides s{*ctx, DType::f32};
      const Tensor w = s.normal({n});
      for (int64_t i = 0; i < n; ++i)  // not near 0, where f16 has less than f32
        w.get<float>()[i] += std::copysign(1.0F, w.get<float>()[i]);
      const Tensor g = s.up(s.normal({n})), whole = s.up(w), joined = s.poisoned(w);
      const auto moments = [&] {
        OwnedTensor zeros = allocate(DType::bf16, {n}, Device::cuda);
        return zeros;
      };
      const OwnedTensor m = moments(), v = moments(), hm = moments(), hv = moments();
      const OwnedTensor high = allocate(dtype, {n}, Device::cuda);
      const OwnedTensor low = allocate(DType::u8, {n, 2}, Device::cuda);
      split_halves(s.ctx, high.view, low.view, whole);
      const Tensor of_whole = s.on_gpu.upload(s.make.poisoned(DType::f64, {1}));
      const Tensor of_halves = s.on_gpu.upload(s.make.poisoned(DType::f64, {1}));
      AdamWParams params{.lr = 0.01, .weight_decay = 0.1, .grad_scale = 0.5};
      for (params.step = 1; params.step <= 3; ++params.step) {
        adamw_step(s.ctx, {whole, m.view, v.view, g, {}, of_whole}, params);
        adamw_step(s.ctx, {high.view, hm.view, hv.view, g, low.view, of_halves}, params);
        join_halves(s.ctx, joined, high.view, low.view);
        CHECK(test::same_bits(s.on_gpu.download(s.make, joined), s.on_gpu.download(s.make, whole)));
        CHECK(test::same_bits(to_host(s.ctx, hv.view).view, to_host(s.ctx, v.view).view));
        CHECK(test::same_bits(to_host(s.ctx, hm.view).view, to_host(s.ctx, m.view).view));
        CHECK(download_doubles(s.ctx, of_halves) == download_doubles(s.ctx, of_whole));
      }
    }
}

}  // namespace
}  // namespace temper
