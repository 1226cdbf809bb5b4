// Model FLOPs against sums done by hand.
#include "model/training/flops.h"

#include "model/config.h"
#include "tests/support/catch.h"

using namespace temper;

TEST_CASE("flops: a dense model's token by hand") {
  ModelConfig c = preset_config("tiny-dense");
  // 4 layers: q and o 128 x 128, k and v 64 x 128, three of 384 x 128, norms of 128, 128, 32, 32.
  const double layer = 2.0 * 128 * 128 + 2.0 * 64 * 128 + 3.0 * 384 * 128 + 2.0 * 128 + 2.0 * 32;
  const double parameters = 4 * layer + 288.0 * 128 + 128;  // with the head and the last norm
  CHECK(forward_flops(c, 0.0) == Approx(2.0 * parameters).epsilon(1e-12));
  c.tie_word_embeddings = true;  // the table is the head
  CHECK(forward_flops(c, 0.0) == Approx(2.0 * parameters).epsilon(1e-12));
  // Scores and their sum: 4 heads of 32 + 32, 2 operations each, over 100 tokens.
  CHECK(forward_flops(c, 100.0) - forward_flops(c, 0.0) == Approx(4 * 2.0 * 100 * 4 * 64));
  CHECK(training_flops(c, 7.0) == Approx(3.0 * forward_flops(c, 7.0)));
}

TEST_CASE("flops: DeepSeek-V3's token meets 37 billion parameters, its table apart") {
  const ModelConfig c = preset_config("deepseek-v3");
  const double table = static_cast<double>(c.vocab_size) * static_cast<double>(c.hidden_size);
  CHECK(forward_flops(c, 0.0) / 2.0 + table == Approx(37.55e9).epsilon(0.01));
  CHECK(forward_flops(c, 10.0) - forward_flops(c, 0.0) ==
        Approx(61 * 2.0 * 10 * 128 * (192 + 128)));
}

TEST_CASE("flops: peaks of cards that are known, and none of others") {
  CHECK(peak_flops_of("NVIDIA H100 80GB HBM3", DType::bf16) == 989.4e12);
  CHECK(peak_flops_of("NVIDIA H100 80GB HBM3", DType::f16) == 989.4e12);
  CHECK(peak_flops_of("NVIDIA H100 PCIe", DType::bf16) == 756e12);
  CHECK(peak_flops_of("NVIDIA A100-SXM4-80GB", DType::bf16) == 312e12);
  CHECK(peak_flops_of("NVIDIA H100 80GB HBM3", DType::f32) == 0.0);
  CHECK(peak_flops_of("Some card", DType::bf16) == 0.0);
  CHECK(peak_flops(Device::cpu, DType::f32) == 0.0);
}
