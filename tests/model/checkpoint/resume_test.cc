#include "model/checkpoint/resume.h"

#include <cstring>

#include "core/error.h"
#include "core/file.h"
#include "model/checkpoint/hf_folder.h"
#include "model/optim/optimizer.h"
#include "tests/support/catch.h"
#include "tests/support/temporary_dir.h"

namespace temper {
namespace {

namespace fs = std::filesystem;

struct Run {
  ModelConfig config = preset_config("tiny");
  OwnedWeights weights;
  OptimizerState optimizer;

  explicit Run(bool bf16_moments = false) {
    config.num_hidden_layers = 2;
    weights = allocate_weights(config, DType::f32);
    initialize_weights(weights.view, config, 5);
    Context ctx(1);
    optimizer = make_optimizer_state(ctx, weights, {.bf16_moments = bf16_moments});
    for (Buffer* buffer : {&optimizer.m.buffer, &optimizer.v.buffer})
      for (size_t i = 0; i < buffer->bytes(); ++i)
        static_cast<uint8_t*>(buffer->data())[i] =
            static_cast<uint8_t>(i * (buffer == &optimizer.m.buffer ? 7 : 11));
  }
  TrainingState state(int64_t step, const std::string& trainer = "{}") const {
    return {.m = optimizer.m.view, .v = optimizer.v.view, .step = step, .trainer = trainer};
  }
};

bool same_bytes(const OwnedTensor& a, const OwnedTensor& b) {
  const size_t bytes = static_cast<size_t>(a.view.numel()) * size_of(a.view.dtype);
  return a.view.numel() == b.view.numel() && std::memcmp(a.view.data, b.view.data, bytes) == 0;
}

TEST_CASE("resume: weights, moments, step and the trainer's own come back bit for bit") {
  for (const bool bf16 : {false, true}) {
    Run run(bf16);
    test::TemporaryDir dir;
    const fs::path saved = dir / "checkpoints/step-40";
    save_training_checkpoint(saved, run.weights, run.config,
                             run.state(40, R"({"seed": 7, "data": {"position": 123}})"), "");
    Context ctx(1);
    LoadedModel model = load_model(ctx, saved, DType::f32);
    OptimizerState again = make_optimizer_state(ctx, model.weights, {.bf16_moments = bf16});
    const ResumedState resumed =
        load_training_state(saved, model.weights, model.config, again.m.view, again.v.view);
    CHECK(resumed.step == 40);
    CHECK(resumed.trainer["data"]["position"].GetInt() == 123);
    CHECK(same_bytes(model.weights.storage, run.weights.storage));
    CHECK(same_bytes(again.m, run.optimizer.m));
    CHECK(same_bytes(again.v, run.optimizer.v));
  }
}

TEST_CASE("resume: an interrupted save leaves the checkpoint as it was") {
  Run run;
  test::TemporaryDir dir;
  const fs::path saved = dir / "c";
  save_training_checkpoint(saved, run.weights, run.config, run.state(1), "");
  // What a kill in the middle of the next save leaves behind.
  fs::create_directories(dir / "c.tmp");
  test::write_text(dir / "c.tmp/config.json", "{");
  const auto step = [&] {
    return load_training_state(saved, run.weights, run.config, run.optimizer.m.view,
                               run.optimizer.v.view)
        .step;
  };
  CHECK(step() == 1);
  save_training_checkpoint(saved, run.weights, run.config, run.state(2), "");
  CHECK(step() == 2);
  CHECK_FALSE(fs::exists(dir / "c.tmp"));
}

TEST_CASE("resume: state that does not fit the run is refused") {
  Run run;
  test::TemporaryDir dir;
  const fs::path saved = dir / "c";
  save_training_checkpoint(saved, run.weights, run.config, run.state(1), "");
  Run narrow(true);
  const auto load = [&](Run& into) {
    load_training_state(saved, into.weights, into.config, into.optimizer.m.view,
                        into.optimizer.v.view);
  };
  CHECK_NOTHROW(load(run));
  CHECK_THROWS_WITH(load(narrow), Contains("BF16"));
  Run other;
  other.config.tie_word_embeddings = true;
  CHECK_THROWS_AS(load(other), UserError);
  const fs::path state = saved / "training_state.safetensors";
  fs::resize_file(state, fs::file_size(state) - 100);
  CHECK_THROWS_WITH(load(run), Contains("v: truncated"));
  fs::remove(saved / "training_state.json");
  CHECK_THROWS_AS(load(run), UserError);
}

}  // namespace
}  // namespace temper
