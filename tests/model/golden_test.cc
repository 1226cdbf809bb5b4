// Parity with transformers: every model of the golden folder, through the library.
#include <algorithm>
#include <cmath>
#include <cstring>
#include <string>
#include <vector>

#include "core/device.h"
#include "model/checkpoint/hf_folder.h"
#include "model/checkpoint/hf_names.h"
#include "model/checkpoint/safetensors.h"
#include "model/checkpoint/transfer.h"
#include "model/training/micro_batches.h"
#include "rollout/engine.h"
#include "rollout/score.h"
#include "sft/loss.h"
#include "tests/support/catch.h"
#include "tests/support/gpu.h"
#include "tests/support/shared.h"
#include "tests/support/worse.h"

using namespace temper;

namespace {

constexpr double kTolerance = 1e-4;  // relative; the oracles are float32

// A stored tensor in f64 (ids included: they are small).
std::vector<double> numbers(const StoredTensor& t) {
  const auto read = [&]<class T>(T) {
    std::vector<T> raw(t.bytes / sizeof(T));
    std::memcpy(raw.data(), t.data, t.bytes);
    return std::vector<double>(raw.begin(), raw.end());
  };
  if (t.dtype == "F32") return read(float{});
  if (t.dtype == "F64") return read(double{});
  REQUIRE(t.dtype == "I64");
  return read(int64_t{});
}

std::vector<double> numbers(const Tensor& t) {
  std::vector<double> out;
  dispatch_float(t.dtype, [&]<class T>() {
    for (int64_t i = 0; i < t.rows(); ++i)
      out.insert(out.end(), t.row<T>(i), t.row<T>(i) + t.cols());
  });
  return out;
}

// The largest of |difference|_max / |want|_max and ||difference|| / ||want||.
double relative_error(const std::vector<double>& got, const std::vector<double>& want) {
  REQUIRE(got.size() == want.size());
  double off = 0.0, most = 0.0, off_squares = 0.0, squares = 0.0;
  for (size_t i = 0; i < got.size(); ++i) {
    const double d = std::abs(got[i] - want[i]);
    off = test::worse(off, d);
    most = std::max(most, std::abs(want[i]));
    off_squares += d * d;
    squares += want[i] * want[i];
  }
  if (most == 0.0) return off <= 1e-9 ? 0.0 : INFINITY;  // an expert that nobody chose
  return std::isnan(off) ? INFINITY : std::max(off / most, std::sqrt(off_squares / squares));
}

struct Oracle {
  Context ctx;
  LoadedModel model;
  SafetensorsFile expected;
  std::vector<TrainSequence> sequences;  // the rows of `tokens`, loss on all but the first

  Oracle(const std::filesystem::path& dir, DType dtype, Device device)
      : ctx(2, device), model(load_model(ctx, dir, dtype)), expected(dir / "expected.safetensors") {
    test::take_card(ctx);
    expected.check();
    for (const std::vector<int32_t>& row : rows_of("tokens"))
      sequences.push_back({row, std::vector<uint8_t>(row.size(), 1)});
  }
  const StoredTensor& stored(const std::string& name) const {
    const StoredTensor* t = expected.find(name);
    INFO(name);
    REQUIRE(t != nullptr);
    return *t;
  }
  std::vector<double> want(const std::string& name) const { return numbers(stored(name)); }
  std::vector<std::vector<int32_t>> rows_of(const std::string& name) const {
    const std::vector<double> all = want(name);
    const auto length = static_cast<size_t>(stored(name).shape.at(1));
    std::vector<std::vector<int32_t>> rows;
    for (size_t i = 0; i < all.size(); i += length)
      rows.emplace_back(all.begin() + static_cast<std::ptrdiff_t>(i),
                        all.begin() + static_cast<std::ptrdiff_t>(i + length));
    return rows;
  }
  // Accumulates the mean loss of all rows and its gradient.
  double accumulate(TrainStep& step, int64_t micro_batch_tokens = 1 << 20) {
    const double targets = static_cast<double>(count_targets(sequences));
    double loss = 0.0;
    step.begin(count_global(sequences, model.config.num_nextn_predict_layers));
    for (const auto& part : micro_batches(sequences, micro_batch_tokens))
      step.accumulate(part, [&](TokenLoss& tokens) { loss += sft_loss(tokens, part, targets); });
    return loss;
  }
};

struct Backend {
  Device device;
  DType dtype;
};

template <class Body>
void for_each_oracle(std::initializer_list<Backend> backends, Body&& body) {
  for (const std::filesystem::path& dir : test::golden_models())
    for (const Backend& b : backends) {
      if (b.device == Device::cuda && gpu_count() == 0) continue;
      INFO(dir.filename().string() << " in " << name_of(b.dtype) << " on " << name_of(b.device));
      Oracle oracle(dir, b.dtype, b.device);
      body(oracle);
    }
}
// Runs body(oracle) for every model in f32 and f64, and in f32 on the GPU where there is one.
template <class Body>
void for_each_oracle(Body&& body) {
  for_each_oracle(
      {{Device::cpu, DType::f32}, {Device::cpu, DType::f64}, {Device::cuda, DType::f32}}, body);
}

TrainOptions oracle_options() {
  TrainOptions options;
  options.optimizer.weight_decay = 0.1;
  options.optimizer.max_grad_norm = 0.0;
  return options;
}

}  // namespace

TEST_CASE("golden: logits and nll of every model") {
  for_each_oracle([](Oracle& o) {
    Arena arena(o.ctx.device);
    std::vector<std::vector<int32_t>> ids;
    for (const TrainSequence& s : o.sequences) ids.push_back(s.ids);
    const TokenBatch batch = make_batch(o.ctx, arena, ids);
    const ModelWeights& weights = o.model.weights.view;
    const Tensor hidden =
        decoder_forward(o.ctx, arena, nullptr, weights, o.model.config, batch, {});
    const Tensor logits =
        arena.tensor("test.logits", hidden.dtype, {batch.tokens(), o.model.config.vocab_size});
    lm_head_logits(o.ctx, logits, hidden, weights.lm_head);
    CHECK(relative_error(download_doubles(o.ctx, logits), o.want("logits")) < kTolerance);

    TrainStep step(o.ctx, o.model.config, o.model.weights, oracle_options());
    const TokenLoss scored = step.score(weights, o.sequences);
    std::vector<double> nll;
    for (const std::vector<double>& row : scored.logprob)
      for (size_t i = 1; i < row.size(); ++i) nll.push_back(-row[i]);
    const std::vector<double> want = o.want("nll");
    CHECK(relative_error(nll, want) < kTolerance);
    for (size_t i = 0; i < want.size(); ++i)  // each alone too, likely tokens included
      REQUIRE(std::abs(nll[i] - want[i]) <= kTolerance * std::max(std::abs(want[i]), 0.1));

    std::vector<double> alone;  // what `score` says
    for (const std::vector<double>& row : score_sequences(o.ctx, weights, o.model.config, ids))
      for (size_t i = 1; i < row.size(); ++i) alone.push_back(-row[i]);
    CHECK(relative_error(alone, want) < kTolerance);
  });
}

TEST_CASE("golden: loss and every gradient of every model") {
  for_each_oracle([](Oracle& o) {
    TrainStep step(o.ctx, o.model.config, o.model.weights, oracle_options());
    // Two cuts: all rows packed into one micro-batch, and each row alone.
    for (const int64_t micro_batch_tokens : {int64_t{1} << 20, int64_t{1}}) {
      const double loss = o.accumulate(step, micro_batch_tokens);
      CHECK(relative_error({loss}, o.want("loss")) < kTolerance);
      size_t compared = 0;
      OwnedWeights grads = weights_on_host(o.ctx, step.gradients(), o.model.config);
      for (const PublishedTensor& t : published_tensors(grads.view, o.model.config)) {
        INFO(t.name << ", micro-batches of " << micro_batch_tokens);
        if (t.role == TensorRole::router_bias) continue;
        // transformers runs no MTP module, so the oracle has no gradient of one.
        if (layer_of(t.name) >= o.model.config.num_hidden_layers &&
            o.expected.find("grad." + t.name) == nullptr)
          continue;
        CHECK(relative_error(numbers(t.part), o.want("grad." + t.name)) < kTolerance);
        ++compared;
      }
      size_t known = 0;
      for (const StoredTensor& t : o.expected.tensors()) known += t.name.rfind("grad.", 0) == 0;
      CHECK(compared == known);
      CHECK(compared > 10);
    }
  });
}

TEST_CASE("golden: greedy continuations of every model") {
  for_each_oracle([](Oracle& o) {
    const std::vector<std::vector<int32_t>> want = o.rows_of("greedy");
    std::vector<RolloutRequest> requests;
    for (size_t i = 0; i < want.size(); ++i) {
      RolloutRequest& request = requests.emplace_back();
      request.prompt.assign(o.sequences[i].ids.begin(), o.sequences[i].ids.begin() + 8);
      request.max_new_tokens = static_cast<int64_t>(want[i].size());
      request.sampling.temperature = 0.0;
      for (int64_t id : o.model.config.eos_token_id)
        request.stop_ids.push_back(static_cast<int32_t>(id));
    }
    RolloutEngine engine(o.ctx, o.model.weights.view, o.model.config, {.block_size = 5});
    const RolloutOutput output = engine.run(requests);
    for (size_t i = 0; i < want.size(); ++i) {
      const auto stops = [&](int32_t id) {
        const auto& ids = requests[i].stop_ids;
        return std::find(ids.begin(), ids.end(), id) != ids.end();
      };
      const auto end = std::find_if(want[i].begin(), want[i].end(), stops);
      const std::vector<int32_t> until(want[i].begin(), end == want[i].end() ? end : end + 1);
      CHECK(output.samples[i][0].ids == until);  // what stands behind an end of text is padding
    }
  });
}

TEST_CASE("golden: losses of AdamW steps on every model") {
  for_each_oracle([](Oracle& o) {
    TrainStep step(o.ctx, o.model.config, o.model.weights, oracle_options());
    const std::vector<double> want = o.want("losses_adamw");
    std::vector<double> losses;
    for (size_t i = 0; i < want.size(); ++i) {
      losses.push_back(o.accumulate(step));
      CHECK(std::abs(losses[i] - want[i]) <= kTolerance * std::abs(want[i]));
      step.finish(1e-3);
    }
    CHECK(losses.back() < 0.99 * losses.front());
  });
}

// What bf16 and f16 cost: activations and weights are rounded to 8 or 11 bits on the way,
// statistics and sums are f32. Measured on the six models, with room.
TEST_CASE("golden: every model in 16 bits on the GPU stays within a stated bound") {
  if (test::no_gpu()) return;
  for_each_oracle({{Device::cuda, DType::bf16}, {Device::cuda, DType::f16}}, [](Oracle& o) {
    const bool bf16 = o.model.weights.storage.view.dtype == DType::bf16;
    TrainStep step(o.ctx, o.model.config, o.model.weights, oracle_options());
    const TokenLoss scored = step.score(o.model.weights.view, o.sequences);
    std::vector<double> nll;
    for (const std::vector<double>& row : scored.logprob)
      for (size_t i = 1; i < row.size(); ++i) nll.push_back(-row[i]);
    const std::vector<double> want = o.want("nll");
    double sum = 0.0;
    for (size_t i = 0; i < want.size(); ++i) sum += std::abs(nll[i] - want[i]);
    const double mean = sum / static_cast<double>(want.size());
    UNSCOPED_INFO("mean difference " << mean << " nats");
    CHECK(
        mean <
        (bf16 ? 0.1 : 0.02));  // their weights are large: one rounding moves a logit by a hundredth
    // In bf16 a rounding more or less grows with each step: other orders of the same sums end 0.5
    // to 1.2 % off.
    const double bound = bf16 ? 0.015 : 0.01;
    const std::vector<double> losses = o.want("losses_adamw");
    for (const double expected : losses) {
      const double loss = o.accumulate(step);
      CHECK(std::abs(loss - expected) <= bound * std::abs(expected));
      step.finish(1e-3);
    }
  });
}
