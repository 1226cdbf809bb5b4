#include "model/checkpoint/resume.h"

#include <cstring>

#include "core/error.h"
#include "core/file.h"
#include "model/checkpoint/checksums.h"
#include "model/checkpoint/hf_folder.h"
#include "model/optim/loss_scale.h"
#include "model/optim/optimizer.h"
#include "tests/support/catch.h"
#include "tests/support/temporary_folder.h"

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
  OptimizerTensors tensors() const {
    return {optimizer.low.view, optimizer.m.view, optimizer.v.view, optimizer.step,
            optimizer.loss_scale.view};
  }
  // As f16 has it, of whose updates `skipped` were left out.
  void scale_loss(int64_t skipped) {
    optimizer.loss_scale = allocate(DType::f64, {3});
    LossScale scale(optimizer.loss_scale.view);
    scale.reset();
    for (int64_t i = 0; i < skipped; ++i) scale.shrink();
    scale.grow();
  }
  void save(const fs::path& dir, const StageState& stage, StoredAs stored_as = StoredAs::f32) {
    Context ctx(1);
    save_training_checkpoint(ctx, dir, weights, config, tensors(), stage, {.stored_as = stored_as});
  }
};

bool same_bytes(const OwnedTensor& a, const OwnedTensor& b) {
  const size_t bytes = static_cast<size_t>(a.view.numel()) * size_of(a.view.dtype);
  return a.view.numel() == b.view.numel() && std::memcmp(a.view.data, b.view.data, bytes) == 0;
}

TEST_CASE("resume: weights, moments, steps and the stage's own come back bit for bit") {
  for (const StoredAs stored_as : {StoredAs::f32, StoredAs::bf16}) {
    for (const bool bf16 : {false, true}) {
      Run run(bf16);
      run.optimizer.step = 80;
      run.scale_loss(3);
      std::string blob = "bytes of the stage";
      TemporaryFolder dir;
      const fs::path saved = dir / "checkpoints/step-40";
      run.save(saved,
               {.step = 40,
                .facts = R"({"data": {"position": 123}})",
                .tensors = {{"blob", make_tensor(blob.data(), DType::u8, {18})}}},
               stored_as);
      Context ctx(1);
      const TrainingCheckpoint from(saved);
      LoadedModel model = load_model(ctx, saved, DType::f32);
      OptimizerState again = make_optimizer_state(ctx, model.weights, {.bf16_moments = bf16});
      again.loss_scale = allocate(DType::f64, {3});
      again.step =
          from.restore(ctx, model.weights, model.config,
                       {again.low.view, again.m.view, again.v.view, 0, again.loss_scale.view});
      CHECK(from.step() == 40);
      CHECK(again.step == 80);
      CHECK(from.facts()["data"]["position"].GetInt() == 123);
      CHECK(from.bytes("blob") == blob);
      CHECK(same_bytes(model.weights.storage, run.weights.storage));
      CHECK(same_bytes(model.weights.router_biases, run.weights.router_biases));
      CHECK(same_bytes(again.m, run.optimizer.m));
      CHECK(same_bytes(again.v, run.optimizer.v));
      CHECK(same_bytes(again.loss_scale, run.optimizer.loss_scale));
      CHECK(LossScale(again.loss_scale.view).skipped() == 3);
    }
  }
}

TEST_CASE("resume: an interrupted save leaves the checkpoint as it was") {
  Run run;
  TemporaryFolder dir;
  const fs::path saved = dir / "c";
  run.save(saved, {.step = 1});
  // What a kill in the middle of the next save leaves behind.
  fs::create_directories(dir / "c.tmp");
  dir.write("c.tmp/config.json", "{");
  CHECK(TrainingCheckpoint(saved).step() == 1);
  run.save(saved, {.step = 2});
  CHECK(TrainingCheckpoint(saved).step() == 2);
  CHECK_FALSE(fs::exists(dir / "c.tmp"));
}

TEST_CASE("resume: state that does not fit the run is refused") {
  Run run;
  TemporaryFolder dir;
  const fs::path saved = dir / "c";
  run.save(saved, {.step = 1});
  Context ctx(1);
  const auto load = [&](Run& into) {
    TrainingCheckpoint(saved).restore(ctx, into.weights, into.config, into.tensors());
  };
  Run narrow(true), other;
  CHECK_NOTHROW(load(run));
  CHECK_THROWS_WITH(load(narrow), Contains("BF16"));
  Run scaled;
  scaled.scale_loss(0);
  CHECK_THROWS_WITH(load(scaled), Contains("loss_scale"));
  other.config.tie_word_embeddings = true;
  CHECK_THROWS_AS(load(other), UserError);
  CHECK_THROWS_WITH(TrainingCheckpoint(saved).bytes("blob"), Contains("blob"));
  const fs::path state = saved / "training_state.safetensors";
  fs::resize_file(state, fs::file_size(state) - 100);
  CHECK_THROWS_WITH(load(run), Contains("v: truncated"));
  fs::remove(saved / "training_state.json");
  CHECK_THROWS_AS(load(run), UserError);
}

TEST_CASE("checksums: a lost, cut or flipped file is found and named") {
  Run run;
  TemporaryFolder dir;
  const fs::path saved = dir / "c", model = saved / "model.safetensors",
                 state = saved / "training_state.safetensors";
  const auto damage = [&](ChecksumScope scope) {
    std::string text;
    for (const std::string& line : damaged_files(saved, scope)) text += line + "\n";
    return text;
  };
  const auto flip = [](const fs::path& file) {
    std::string bytes = read_file(file);
    bytes[bytes.size() / 2] ^= 1;
    write_file_atomically(file, bytes);
  };
  run.save(saved, {.step = 1});
  CHECK(damage(ChecksumScope::all).empty());
  flip(state);
  CHECK_THAT(damage(ChecksumScope::all), Contains("training_state.safetensors: damaged"));
  CHECK(damage(ChecksumScope::model).empty());
  flip(state);
  CHECK(damage(ChecksumScope::all).empty());
  const std::string list = read_file(saved / kChecksumFile);
  write_file_atomically(saved / kChecksumFile, list + "0123456789abcdef  " + std::string(300, 'n'));
  CHECK_THAT(damage(ChecksumScope::model), Contains("nnn: missing"));
  write_file_atomically(saved / kChecksumFile, list);
  fs::resize_file(model, fs::file_size(model) - 1);
  CHECK_THAT(damage(ChecksumScope::model), Contains("model.safetensors: damaged"));
  fs::remove(model);
  CHECK_THAT(damage(ChecksumScope::model), Contains("model.safetensors: missing"));
}

}  // namespace
}  // namespace temper
