// Element-wise ops, norms, RoPE, SwiGLU, embedding, linear layers and AdamW: the GPU's results
// against the CPU's on the same numbers.
#include "model/ops/adamw.h"
#include "model/ops/elementwise.h"
#include "model/ops/embedding.h"
#include "model/ops/linear.h"
#include "model/ops/rms_norm.h"
#include "model/ops/rope.h"
#include "model/ops/router.h"
#include "model/ops/swiglu.h"
#include "tests/model/ops/cuda/cuda_op_test.h"

namespace temper {
namespace {

using test::Layout;
using test::on_each;
using test::Sides;
using test::Tensors;

constexpr DType f = DType::f32;

TEST_CASE("cuda: sums, scaling and copies are the CPU's", "[ops][cuda]") {
  on_each(1e-6, 6e-3, [](Sides& s, double bound) {  // two roundings to 8 bits
    for (const int64_t cols : {1, 7, 64, 515}) {
      const Tensor a = s.normal({5, 3, cols}), b = s.normal({5, 3, cols});
      const Tensor sum = s.make.poisoned(f, {5, 3, cols}), gpu_sum = s.poisoned(sum);
      const Tensor gpu_a = s.up(a), gpu_b = s.up(b);
      add(s.host, sum, a, b);
      add(s.ctx, gpu_sum, gpu_a, gpu_b);
      CHECK(s.off(gpu_sum, sum) < bound);
      scale(s.host, sum, 0.3);
      scale(s.ctx, gpu_sum, 0.3);
      CHECK(s.off(gpu_sum, sum) < bound);
      copy(s.ctx, gpu_sum, gpu_a);
      CHECK(s.off(gpu_sum, a) == 0.0);
      const Tensor in_f32 = s.on_gpu.poisoned(a, f, s.layout);
      copy(s.ctx, in_f32, gpu_a);
      CHECK(s.off(in_f32, a) == 0.0);
      copy(s.ctx, gpu_sum, in_f32);
      CHECK(s.off(gpu_sum, a) == 0.0);
      fill_zero(s.ctx, gpu_sum);
      fill_zero(s.host, sum);
      CHECK(s.off(gpu_sum, sum) == 0.0);
      CHECK(sum_of_squares(s.ctx, gpu_b) == Approx(sum_of_squares(s.host, b)).epsilon(1e-6));
      CHECK(sum_of_squares(s.ctx, gpu_b) == sum_of_squares(s.ctx, gpu_b));
    }
  });
}

TEST_CASE("cuda: RMSNorm and its gradient are the CPU's", "[ops][cuda]") {
  on_each(2e-6, 6e-3, [](Sides& s, double bound) {
    for (const int64_t cols : {1, 33, 192, 1024, 7168}) {
      const int64_t rows = cols > 2000 ? 9 : 301;
      const Tensor x = s.normal({rows, cols}), w = s.normal({cols}), dy = s.normal({rows, cols});
      const Tensor y = s.make.poisoned(f, {rows, cols}), rstd = s.make.poisoned(f, {rows});
      const Tensor dx = s.normal({rows, cols}), dw = s.make.normal(f, {cols});
      const Tensor gpu_x = s.up(x), gpu_w = s.dense(w), gpu_dy = s.up(dy), gpu_dx = s.up(dx);
      const Tensor gpu_y = s.poisoned(y), gpu_dw = s.wide(dw);
      const Tensor gpu_rstd = s.on_gpu.poisoned(rstd, f);
      rms_norm_forward(s.host, y, {rstd}, x, w, 1e-6);
      rms_norm_forward(s.ctx, gpu_y, {gpu_rstd}, gpu_x, gpu_w, 1e-6);
      CHECK(s.off(gpu_y, y) < bound);
      CHECK(s.off(gpu_rstd, rstd, Layout::dense) < 2e-6);
      rms_norm_backward(s.host, {dx, dw}, dy, x, w, rstd);
      rms_norm_backward(s.ctx, {gpu_dx, gpu_dw}, gpu_dy, gpu_x, gpu_w, gpu_rstd);
      CHECK(s.off(gpu_dx, dx) < bound);
      CHECK(s.off(gpu_dw, dw, Layout::dense) < 1e-5);
      const Tensor new_dx = s.poisoned(dx), new_dw = s.on_gpu.poisoned(dw, f);
      rms_norm_backward(s.host, {fresh(dx), fresh(dw)}, dy, x, w, rstd);
      rms_norm_backward(s.ctx, {fresh(new_dx), fresh(new_dw)}, gpu_dy, gpu_x, gpu_w, gpu_rstd);
      CHECK(s.off(new_dx, dx) < bound);
      CHECK(s.off(new_dw, dw, Layout::dense) < 1e-5);
      rms_norm_backward(s.ctx, {fresh(gpu_dx), {}}, gpu_dy, gpu_x, gpu_w, gpu_rstd);
      CHECK(s.off(gpu_dx, dx) < bound);
    }
  });
}

TEST_CASE("cuda: RMSNorm's gradient with chosen rows is the CPU's", "[ops][cuda]") {
  on_each(2e-6, 6e-3, [](Sides& s, double bound) {
    for (const auto& [cols, k] :
         {std::pair<int64_t, int64_t>(33, 3), {192, 7}, {1024, 3}, {2048, 7}, {4096, 3}}) {
      const int64_t tokens = 75, rows = tokens * k;
      std::vector<int32_t> order;
      for (int64_t c = 0; c < rows; ++c) order.push_back(static_cast<int32_t>(c * 7 % rows));
      const Tensor x = s.normal({tokens, cols}), w = s.normal({cols}),
                   dy = s.normal({tokens, cols});
      const Tensor y = s.make.poisoned(f, {tokens, cols}), rstd = s.make.poisoned(f, {tokens});
      const Tensor more = s.normal({rows, cols}), dx = s.normal({tokens, cols});
      const Tensor dw = s.make.normal(f, {cols}), gpu_dx = s.up(dx), gpu_dw = s.wide(dw);
      rms_norm_forward(s.host, y, {rstd}, x, w, 1e-6);
      const Tensor row_of = s.make.ints({tokens, k}, order);
      rms_norm_backward(s.host, {dx, dw}, dy, x, w, rstd, {more, row_of});
      rms_norm_backward(s.ctx, {gpu_dx, gpu_dw}, s.up(dy), s.up(x), s.dense(w), s.wide(rstd),
                        {s.up(more), s.on_gpu.upload(row_of)});
      CHECK(s.off(gpu_dx, dx) < bound);
      // Where dy and the rows are added up first the sum is rounded.
      CHECK(s.off(gpu_dw, dw, Layout::dense) < test::bound_in(s.dtype, 1e-5, 4e-3));
    }
  });
}

TEST_CASE("cuda: RoPE's tables and rotations are the CPU's", "[ops][cuda]") {
  on_each(2e-6, 4e-3, [](Sides& s, double bound) {
    const int64_t tokens = 19, heads = 3;
    for (const int64_t width : {2, 64, 128}) {
      RopeConfig config;
      config.rope_theta = 10000.0;
      const RopeFrequencies frequencies = rope_frequencies(config, width, 4096);
      std::vector<int32_t> positions;
      for (int32_t t = 0; t < tokens; ++t) positions.push_back(t * 211);
      const Tensor cos = s.make.poisoned(f, {tokens, width / 2});
      const Tensor sin = s.make.poisoned(f, {tokens, width / 2});
      const Tensor gpu_cos = s.on_gpu.poisoned(cos, f), gpu_sin = s.on_gpu.poisoned(sin, f);
      rope_tables(s.host, cos, sin, s.make.ints({tokens}, positions), frequencies);
      rope_tables(s.ctx, gpu_cos, gpu_sin, s.on_gpu.ints(positions), frequencies);
      CHECK(s.off(gpu_cos, cos, Layout::dense) < 1e-6);
      CHECK(s.off(gpu_sin, sin, Layout::dense) < 1e-6);
      for (const RopeStyle style : {RopeStyle::interleaved, RopeStyle::halves}) {
        const Tensor x = s.normal({tokens, heads, width}), gpu_x = s.up(x);
        rope_forward(s.host, x, cos, sin, style);
        rope_forward(s.ctx, gpu_x, gpu_cos, gpu_sin, style);
        CHECK(s.off(gpu_x, x) < bound);
        rope_backward(s.host, x, cos, sin, style);
        rope_backward(s.ctx, gpu_x, gpu_cos, gpu_sin, style);
        CHECK(s.off(gpu_x, x) < 2 * bound);
      }
    }
  });
}

TEST_CASE("cuda: SwiGLU and its gradient are the CPU's", "[ops][cuda]") {
  on_each(3e-6, 6e-3, [](Sides& s, double bound) {
    for (const int64_t cols : {1, 33, 512}) {
      const Tensor gate = s.normal({17, cols}, 2.0), up = s.normal({17, cols});
      const Tensor dy = s.normal({17, cols}), dgate = s.normal({17, cols});
      const Tensor dup = s.normal({17, cols}), y = s.make.poisoned(f, {17, cols});
      const Tensor gpu_gate = s.up(gate), gpu_up = s.up(up), gpu_y = s.poisoned(y);
      const Tensor gpu_dgate = s.up(dgate), gpu_dup = s.up(dup);
      swiglu_forward(s.host, y, gate, up);
      swiglu_forward(s.ctx, gpu_y, gpu_gate, gpu_up);
      CHECK(s.off(gpu_y, y) < bound);
      const Tensor gpu_dy = s.up(dy), again = s.poisoned(y);
      swiglu_backward(s.host, {dgate, dup}, {}, dy, gate, up);
      swiglu_backward(s.ctx, {gpu_dgate, gpu_dup}, again, gpu_dy, gpu_gate, gpu_up);
      CHECK(s.off(again, y) < bound);
      CHECK(s.off(gpu_dgate, dgate) < bound);
      CHECK(s.off(gpu_dup, dup) < bound);
      swiglu_backward(s.host, {fresh(dgate), fresh(dup)}, {}, dy, gate, up);
      swiglu_backward(s.ctx, {fresh(s.poisoned(y)), fresh(gpu_dup)}, {}, gpu_dy, gpu_gate, gpu_up);
      swiglu_backward(s.ctx, {fresh(gpu_dgate), fresh(s.poisoned(y))}, {}, gpu_dy, gpu_gate,
                      gpu_up);
      CHECK(s.off(gpu_dgate, dgate) < bound);
      CHECK(s.off(gpu_dup, dup) < bound);
    }
  });
}

TEST_CASE("cuda: SwiGLU's gradient where rows count with weights is the CPU's", "[ops][cuda]") {
  on_each(3e-6, 6e-3, [](Sides& s, double bound) {
    for (const int64_t cols : {1, 33, 512}) {
      const int64_t tokens = 37, k = 3, rows = tokens * k;
      std::vector<int32_t> order;
      for (int64_t c = 0; c < rows; ++c) order.push_back(static_cast<int32_t>(c * 7 % rows));
      const Tensor gate = s.normal({rows, cols}, 2.0), up = s.normal({rows, cols});
      const Tensor dz = s.normal({rows, cols}), z = s.make.poisoned(f, {rows, cols});
      const Tensor dgate = s.normal({rows, cols}), dup = s.normal({rows, cols});
      const Tensor weights = s.make.normal(f, {tokens, k});
      const Tensor dweights = s.make.normal(f, {tokens, k});
      const Tensor gpu_gate = s.up(gate), gpu_up = s.up(up), gpu_dz = s.up(dz);
      const Tensor gpu_dgate = s.up(dgate), gpu_dup = s.up(dup), gpu_z = s.poisoned(z);
      const Tensor gpu_dweights = s.wide(dweights);
      const RowWeights cpu_rows{weights, s.make.ints({tokens, k}, order)};
      const RowWeights gpu_rows{s.wide(weights), s.on_gpu.upload(cpu_rows.row_of)};
      weighted_swiglu_backward(s.host, {dgate, dup}, dweights, z, dz, gate, up, cpu_rows);
      weighted_swiglu_backward(s.ctx, {gpu_dgate, gpu_dup}, gpu_dweights, gpu_z, gpu_dz, gpu_gate,
                               gpu_up, gpu_rows);
      CHECK(s.off(gpu_z, z) < bound);
      CHECK(s.off(gpu_dgate, dgate) < bound);
      CHECK(s.off(gpu_dup, dup) < bound);
      CHECK(s.off(gpu_dweights, dweights, Layout::dense) < 2e-5);
      const Tensor new_dgate = s.poisoned(z), new_dup = s.poisoned(z);
      const Tensor new_dweights = s.on_gpu.poisoned(dweights, f);
      weighted_swiglu_backward(s.host, {fresh(dgate), fresh(dup)}, fresh(dweights), z, dz, gate, up,
                               cpu_rows);
      weighted_swiglu_backward(s.ctx, {fresh(new_dgate), fresh(new_dup)}, fresh(new_dweights),
                               gpu_z, gpu_dz, gpu_gate, gpu_up, gpu_rows);
      CHECK(s.off(new_dgate, dgate) < bound);
      CHECK(s.off(new_dup, dup) < bound);
      CHECK(s.off(new_dweights, dweights, Layout::dense) < 2e-5);
    }
  });
}

TEST_CASE("cuda: embedding, its gradient and scattering are the CPU's", "[ops][cuda]") {
  on_each(2e-6, 4e-3, [](Sides& s, double bound) {
    const int64_t rows = 700, vocab = 50, d = 72;
    Random random(3, RandomStream::data);
    std::vector<int32_t> ids, order;
    for (int64_t t = 0; t < rows; ++t) {
      // Half of the rows ask for one id: its sum is long, and must be in order.
      ids.push_back(t % 2 == 0 ? 7 : static_cast<int32_t>(random.below(vocab)));
      order.push_back(static_cast<int32_t>((t * 3) % rows));  // 3 and 700 share no factor
    }
    const Tensor table = s.normal({vocab, d}), y = s.make.poisoned(f, {rows, d});
    const Tensor dy = s.normal({rows, d}), dtable = s.make.normal(f, {vocab, d});
    const Tensor gpu_y = s.poisoned(y), gpu_ids = s.on_gpu.ints(ids), gpu_dy = s.up(dy);
    embedding_forward(s.host, y, table, s.make.ints({rows}, ids));
    embedding_forward(s.ctx, gpu_y, s.up(table), gpu_ids);
    CHECK(s.off(gpu_y, y) == 0.0);
    const Tensor gpu_dtable = s.wide(dtable), again = s.wide(dtable);
    embedding_backward(s.host, dtable, dy, s.make.ints({rows}, ids));
    embedding_backward(s.ctx, gpu_dtable, gpu_dy, gpu_ids);
    embedding_backward(s.ctx, again, gpu_dy, gpu_ids);
    CHECK(s.off(gpu_dtable, dtable, Layout::dense) < 2e-6);
    CHECK(s.off(gpu_dtable, s.on_gpu.download(s.make, again), Layout::dense) == 0.0);
    const Tensor to = s.normal({rows, d}), gpu_to = s.up(to);
    scatter_rows_add(s.host, to, dy, s.make.ints({rows}, order));
    scatter_rows_add(s.ctx, gpu_to, gpu_dy, s.on_gpu.ints(order));
    CHECK(s.off(gpu_to, to) < bound);
  });
}

TEST_CASE("cuda: linear layers and their gradients are the CPU's", "[ops][cuda]") {
  on_each(3e-6, 8e-3, [](Sides& s, double bound) {
    struct Size {
      int64_t t, n, k;
    };
    for (const Size& z : {Size{1, 1, 1}, {5, 33, 17}, {130, 192, 64}, {257, 96, 520}}) {
      CAPTURE(z.t, z.n, z.k);
      const Tensor x = s.normal({z.t, z.k}), w = s.normal({z.n, z.k}), bias = s.normal({z.n});
      const Tensor y = s.make.poisoned(f, {z.t, z.n}), dy = s.normal({z.t, z.n});
      const Tensor gpu_x = s.up(x), gpu_w = s.dense(w), gpu_y = s.poisoned(y);
      linear_forward(s.host, y, x, w, bias);
      linear_forward(s.ctx, gpu_y, gpu_x, gpu_w, s.dense(bias));
      CHECK(s.off(gpu_y, y) < bound);
      const Tensor logits = s.on_gpu.poisoned(y, f);  // f32 from factors of either kind
      linear_forward(s.host, y, x, w);
      linear_forward(s.ctx, logits, gpu_x, gpu_w);
      CHECK(s.off(logits, y, Layout::dense) < 3e-6);
      const Tensor dx = s.normal({z.t, z.k}), dw = s.make.normal(f, {z.n, z.k});
      const Tensor dbias = s.make.normal(f, {z.n});
      const Tensor gpu_dx = s.up(dx), gpu_dw = s.wide(dw), gpu_dbias = s.wide(dbias);
      linear_backward(s.host, {dx, dw, dbias}, dy, x, w);
      linear_backward(s.ctx, {gpu_dx, gpu_dw, gpu_dbias}, s.up(dy), gpu_x, gpu_w);
      CHECK(s.off(gpu_dx, dx) < bound);
      CHECK(s.off(gpu_dw, dw, Layout::dense) < 3e-6);
      CHECK(s.off(gpu_dbias, dbias, Layout::dense) < 3e-6);
      const Tensor new_dx = s.poisoned(dx), new_dw = s.on_gpu.poisoned(dw, f);
      const Tensor new_dbias = s.on_gpu.poisoned(dbias, f), residual = s.normal({z.t, z.n});
      linear_backward(s.host, {fresh(dx), fresh(dw), fresh(dbias)}, dy, x, w);
      linear_backward(s.ctx, {fresh(new_dx), fresh(new_dw), fresh(new_dbias)}, s.up(dy), gpu_x,
                      gpu_w);
      CHECK(s.off(new_dx, dx) < bound);
      CHECK(s.off(new_dw, dw, Layout::dense) < 3e-6);
      CHECK(s.off(new_dbias, dbias, Layout::dense) < 3e-6);
      const Tensor sum = s.up(residual);
      linear_add_forward(s.host, residual, x, w, bias);
      linear_add_forward(s.ctx, sum, gpu_x, gpu_w, s.dense(bias));
      CHECK(s.off(sum, residual) < bound);
    }
  });
}

TEST_CASE("cuda: products by head are the CPU's", "[ops][cuda]") {
  on_each(3e-6, 5e-3, [](Sides& s, double bound) {
    const int64_t tokens = 21, heads = 3, n = 24, k = 40;
    const Tensor x = s.normal({tokens, heads, k}), w = s.normal({heads, n * k});
    const Tensor y = s.make.poisoned(f, {tokens, heads, n}), gpu_y = s.poisoned(y);
    const Tensor gpu_x = s.up(x), gpu_w = s.up(w);
    head_linear_forward(s.host, y, x, w);
    head_linear_forward(s.ctx, gpu_y, gpu_x, gpu_w);
    CHECK(s.off(gpu_y, y) < bound);
    const Tensor z = s.make.poisoned(f, {tokens, heads, k}), gpu_z = s.poisoned(z);
    test::round_to(s.dtype, y);
    head_linear_transposed_forward(s.host, z, y, w);
    head_linear_transposed_forward(s.ctx, gpu_z, s.up(y), gpu_w);
    CHECK(s.off(gpu_z, z) < bound);
  });
}

TEST_CASE("cuda: grouped products over ragged and empty groups are the CPU's", "[ops][cuda]") {
  on_each(3e-6, 5e-3, [](Sides& s, double bound) {
    struct Size {
      int64_t n, k;
      std::vector<int32_t> offsets;
    };
    std::vector<int32_t> many_tiles;  // more than a card has multiprocessors
    for (int32_t e = 0; e <= 10; ++e) many_tiles.push_back(e * 600);
    for (const Size& z : {Size{1, 1, {0, 1}}, Size{33, 17, {0, 0, 5, 70, 70, 71}},
                          Size{136, 72, {0, 129, 129, 400}}, Size{64, 256, {0, 128, 256}},
                          Size{200, 320, {0, 8, 8, 41, 44}}, Size{520, 520, many_tiles}}) {
      CAPTURE(z.n, z.k);
      const auto experts = static_cast<int64_t>(z.offsets.size()) - 1;
      const int64_t rows = z.offsets.back();
      if (test::quick(2) && rows > 1000) continue;
      const Tensor offsets = s.make.ints({experts + 1}, z.offsets);
      const Tensor gpu_offsets = s.on_gpu.ints(z.offsets);
      const Tensor x = s.normal({rows, z.k}), w = s.normal({experts, z.n, z.k});
      const Tensor y = s.make.poisoned(f, {rows, z.n}), dy = s.normal({rows, z.n});
      const Tensor gpu_x = s.up(x), gpu_w = s.dense(w), gpu_y = s.poisoned(y);
      grouped_linear_forward(s.host, y, x, w, offsets);
      grouped_linear_forward(s.ctx, gpu_y, gpu_x, gpu_w, gpu_offsets);
      CHECK(s.off(gpu_y, y) < bound);
      const Tensor dx = s.normal({rows, z.k}), dw = s.make.normal(f, {experts, z.n, z.k});
      const Tensor gpu_dx = s.up(dx), gpu_dw = s.wide(dw);
      grouped_linear_backward(s.host, {dx, dw, {}}, dy, x, w, offsets);
      grouped_linear_backward(s.ctx, {gpu_dx, gpu_dw, {}}, s.up(dy), gpu_x, gpu_w, gpu_offsets);
      CHECK(s.off(gpu_dx, dx) < bound);
      CHECK(s.off(gpu_dw, dw, Layout::dense) < 3e-6);
      const Tensor new_dx = s.poisoned(dx), new_dw = s.on_gpu.poisoned(dw, f);
      grouped_linear_backward(s.host, {fresh(dx), fresh(dw), {}}, dy, x, w, offsets);
      grouped_linear_backward(s.ctx, {fresh(new_dx), fresh(new_dw), {}}, s.up(dy), gpu_x, gpu_w,
                              gpu_offsets);
      CHECK(s.off(new_dx, dx) < bound);
      CHECK(s.off(new_dw, dw, Layout::dense) < 3e-6);
    }
  });
}

TEST_CASE("cuda: AdamW and the router's bias rule are the CPU's", "[ops][cuda]") {
  Context* ctx = test::gpu();
  if (ctx == nullptr) return;
  // The largest has more blocks than one block adds up the changes of.
  for (const int64_t n : {7, 1003, 2200003})
    for (const DType moments : {DType::f32, DType::bf16}) {
      if (test::quick(2) && n > 2000) break;
      Sides s{*ctx, DType::f32};
      const Tensor w = s.normal({n}), g = s.normal({n});
      const Tensor gpu_w = s.up(w), gpu_g = s.up(g);
      const OwnedTensor m = allocate(moments, {n}), v = allocate(moments, {n});
      const OwnedTensor gm = allocate(moments, {n}, Device::cuda);
      const OwnedTensor gv = allocate(moments, {n}, Device::cuda);
      const OwnedTensor squares = allocate(DType::f64, {1});
      const Tensor gpu_squares = s.on_gpu.upload(s.make.poisoned(DType::f64, {1}));
      AdamWParams params{.lr = 0.01, .weight_decay = 0.1, .grad_scale = 0.5};
      for (params.step = 1; params.step <= 3; ++params.step) {
        adamw_step(s.host, {w, m.view, v.view, g, {}, squares.view}, params);
        adamw_step(s.ctx, {gpu_w, gm.view, gv.view, gpu_g, {}, gpu_squares}, params);
        CHECK(s.off(gpu_w, w) < (moments == DType::f32 ? 2e-6 : 1e-4));
        CHECK(download_doubles(s.ctx, gpu_squares)[0] ==
              Approx(*squares.view.get<double>()).epsilon(moments == DType::f32 ? 2e-5 : 1e-3));
      }
    }
  Sides s{*ctx, DType::f32};
  const int64_t layers = 66;  // more than a launch takes; the second has no bias
  std::vector<Tensor> biases, gpu_biases;
  std::vector<int32_t> counts;
  for (int32_t l = 0; l < layers; ++l) {
    biases.push_back(l == 1 ? Tensor{} : s.make.normal(f, {5}));
    gpu_biases.push_back(l == 1 ? Tensor{} : s.up(biases.back()));
    for (const int32_t count : {3, l, 9, 3, 0}) counts.push_back(count);
  }
  router_bias_step(s.host, biases, s.make.ints({layers, 5}, counts), 0.25);
  const Tensor gpu_counts = s.on_gpu.upload(s.make.ints({layers, 5}, counts));
  router_bias_step(s.ctx, gpu_biases, gpu_counts, 0.25);
  for (size_t l = 0; l < biases.size(); ++l)
    if (l != 1) CHECK(s.off(gpu_biases[l], biases[l]) == 0.0);
}

}  // namespace
}  // namespace temper
