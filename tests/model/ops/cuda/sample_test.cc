#include "model/ops/sample.h"

#include "core/random.h"
#include "tests/model/ops/cuda/cuda_op_test.h"
#include "tests/support/worse.h"

namespace temper {
namespace {

using test::GpuTensors;
using test::Layout;
using test::Tensors;

const SamplingParams kRules[] = {
    {},
    {.temperature = 0.6},
    {.temperature = 0.0},
    {.temperature = 1.7, .top_k = 40},
    {.top_p = 0.9},
    {.temperature = 0.8, .top_p = 0.3},
    {.min_p = 0.05},
    {.temperature = 1.3, .top_k = 100, .top_p = 0.8, .min_p = 0.02},
    {.top_k = 1},
    {.top_k = 1000000},
    {.top_p = 1e-9},
};

// Every rule on every row, with a few numbers each.
struct Inputs {
  Tensor row, uniform, rules;
};

Inputs inputs(Tensors& make, int64_t rows, int per_rule) {
  std::vector<int32_t> row;
  std::vector<double> uniform, rules;
  Random random(static_cast<uint64_t>(rows * per_rule), RandomStream::data);
  for (int64_t r = 0; r < rows; ++r)
    for (const SamplingParams& p : kRules)
      for (int i = 0; i < per_rule; ++i) {
        row.push_back(static_cast<int32_t>(r));
        uniform.push_back(i == 0 ? 0.0 : i == 1 ? 1.0 - 0x1.0p-53 : random.uniform());
        rules.insert(rules.end(), {p.temperature, static_cast<double>(p.top_k), p.top_p, p.min_p});
      }
  const auto count = static_cast<int64_t>(row.size());
  const Inputs in{make.ints({count}, row), make.zeros(DType::f64, {count}),
                  make.zeros(DType::f64, {count, kRuleColumns})};
  std::copy(uniform.begin(), uniform.end(), in.uniform.get<double>());
  std::copy(rules.begin(), rules.end(), in.rules.get<double>());
  return in;
}

// Poisoned: every bit is set.
Tensor sets_of(Tensors& make, int64_t count, int64_t vocabulary) {
  const int64_t words = kept_words(vocabulary);
  return make.ints({count, words}, std::vector<int32_t>(static_cast<size_t>(count * words), -1));
}

void check_vocabulary(Context& ctx, int64_t vocabulary, Layout layout, int per_rule) {
  Tensors make;
  GpuTensors on_gpu(ctx);
  Context host(2);
  const int64_t rows = 4;
  const Tensor logits = make.normal(DType::f32, {rows, vocabulary}, 3.0);
  for (int64_t v = 0; v < vocabulary; v += 3)  // ties, zeros of both signs, and what cannot be
    logits.row<float>(1)[v] = std::round(logits.row<float>(1)[v]);
  if (vocabulary > 20) logits.row<float>(2)[4] = -std::numeric_limits<float>::infinity();
  for (int64_t v = 0; v < vocabulary; ++v) logits.row<float>(3)[v] *= 0.01F;
  const Inputs in = inputs(make, rows, per_rule);
  const int64_t count = in.row.numel();
  const SampleOutputs want{make.ints({count}, std::vector<int32_t>(static_cast<size_t>(count), -7)),
                           make.poisoned(DType::f64, {count, kNumberColumns}),
                           sets_of(make, count, vocabulary)};
  sample(host, want, logits, {in.row, in.uniform, in.rules, true});

  const SampleOutputs out{on_gpu.upload(want.token),
                          on_gpu.upload(make.poisoned(DType::f64, {count, kNumberColumns})),
                          on_gpu.upload(sets_of(make, count, vocabulary))};
  const SampleDraws draws{on_gpu.upload(in.row), on_gpu.upload(in.uniform), on_gpu.upload(in.rules),
                          true};
  const Tensor gpu_logits = on_gpu.upload(logits, DType::f32, layout);
  sample(ctx, out, gpu_logits, draws);
  const std::vector<int32_t> token = download_ints(ctx, out.token);
  const std::vector<double> numbers = download_doubles(ctx, out.numbers);
  const std::vector<int32_t> kept = download_ints(ctx, out.kept);
  int64_t others = 0, other_sets = 0;
  double worst = 0.0;
  for (int64_t i = 0; i < count; ++i) {
    const bool same = token[static_cast<size_t>(i)] == want.token.get<int32_t>()[i];
    others += !same;
    const auto words = static_cast<size_t>(kept_words(vocabulary)),
               at = static_cast<size_t>(i) * words;
    other_sets +=
        !std::equal(kept.begin() + static_cast<int64_t>(at),
                    kept.begin() + static_cast<int64_t>(at + words), want.kept.row<int32_t>(i));
    for (int64_t j = 0; same && j < kNumberColumns; ++j)
      worst = test::worse(worst, std::abs(numbers[static_cast<size_t>(i * kNumberColumns + j)] -
                                          want.numbers.row<double>(i)[j]));
  }
  INFO(others << " of " << count << " draws differ, " << other_sets << " sets; numbers by "
              << worst);
  CHECK(static_cast<double>(others) <= 2e-4 * static_cast<double>(count));
  CHECK(static_cast<double>(other_sets) <= 2e-2 * static_cast<double>(count));
  CHECK(worst < 2e-6);
  sample(ctx, out, gpu_logits, draws);  // the same bits again
  CHECK(download_ints(ctx, out.token) == token);
  CHECK(download_doubles(ctx, out.numbers) == numbers);
  CHECK(download_ints(ctx, out.kept) == kept);
}

TEST_CASE("cuda: the draws are the CPU's", "[ops][cuda]") {
  Context* ctx = test::gpu();
  if (ctx == nullptr) return;
  for (const int64_t vocabulary : {1, 7, 1003, 32768, 49152, 163840}) {
    if (test::quick(2) && vocabulary > 2000) break;
    const int per_rule = test::quick(2) ? 2 : vocabulary < 2000 && !test::quick() ? 100 : 5;
    for (const Layout layout : {Layout::dense, Layout::odd_slice}) {
      if (test::quick(2) && (layout == Layout::dense) != (vocabulary == 7)) continue;
      CAPTURE(vocabulary, static_cast<int>(layout));
      check_vocabulary(*ctx, vocabulary, layout, per_rule);
    }
  }
}

TEST_CASE("cuda: rows that are not finite draw no token; ids follow draws", "[ops][cuda]") {
  Context* ctx = test::gpu();
  if (ctx == nullptr) return;
  Tensors make;
  GpuTensors on_gpu(*ctx);
  const Tensor logits = make.normal(DType::f32, {4, 100});
  logits.row<float>(0)[17] = std::numeric_limits<float>::quiet_NaN();
  logits.row<float>(1)[99] = std::numeric_limits<float>::infinity();
  const Inputs in = inputs(make, 4, 2);
  const int64_t count = in.row.numel();
  const SampleOutputs out{
      on_gpu.upload(make.ints({count}, std::vector<int32_t>(static_cast<size_t>(count), -7))),
      on_gpu.upload(make.poisoned(DType::f64, {count, kNumberColumns}))};
  sample(*ctx, out, on_gpu.upload(logits, DType::f32),
         {on_gpu.upload(in.row), on_gpu.upload(in.uniform), on_gpu.upload(in.rules)});
  const std::vector<int32_t> token = download_ints(*ctx, out.token);
  for (int64_t i = 0; i < count; ++i)
    CHECK((token[static_cast<size_t>(i)] == -1) == (in.row.get<int32_t>()[i] < 2));
  const Tensor ids = on_gpu.ints({4, -1, -3, 0, -2}), tokens = on_gpu.ints({7, -1, 9});
  follow_draws(*ctx, ids, tokens);
  CHECK(download_ints(*ctx, ids) == std::vector<int32_t>{4, 7, 9, 0, 0});
}

}  // namespace
}  // namespace temper
