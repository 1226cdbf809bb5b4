// What ends a command early is said in words, with the mend, and is in the run's database.
#include "core/file.h"
#include "data/store_reader.h"
#include "tests/cli/micro_workshop.h"
#include "tests/support/sanitized.h"

using namespace temper;
using test::kMicroGrpo;
using test::kMicroSft;
using test::MicroWorkshop;
namespace fs = std::filesystem;

namespace {

// A second model folder "nan": a weight of the final norm is no number.
void damage(const MicroWorkshop& w) {
  Context ctx(1);
  LoadedModel model = load_model(ctx, w.path("m"), DType::f32);
  model.weights.view.norm.get<float>()[3] = std::nanf("");
  save_model(model.weights.view, model.config, w.path("nan"), {.tokenizer_from = w.path("m")});
}

// The recipe with another value of a flag that it has.
Arguments with(Arguments recipe, const std::string& flag, const std::string& value) {
  const auto at = std::find(recipe.begin(), recipe.end(), flag);
  REQUIRE(at != recipe.end());
  *(at + 1) = value;
  return recipe;
}

std::string error_event(const MicroWorkshop& w, const std::string& run, int64_t step) {
  Database db = open_for_reading(w.path(run));
  CHECK(read_runs(db).at(0).status == "failed");
  return db.value<std::string>("SELECT text FROM events WHERE level = 'error' AND step = ?", step)
      .value_or("no event of this step");
}

}  // namespace

TEST_CASE("failure: a model that gives no numbers is refused by every command that needs them") {
  const MicroWorkshop w;
  damage(w);
  w.folder.write("ids.jsonl", "{\"ids\":[1,2,3]}\n");
  const Arguments scored{"score", "--model", "nan", "--ids", "ids.jsonl", "--out", "scores.jsonl"};
  w.refused(scored, {"not finite", "sequence 1, token 2", "earlier"});
  CHECK_FALSE(w.exists("scores.jsonl"));
  w.refused({"generate", "--model", "nan", "--ids", "1,2"}, {"not finite"});
  w.refused({"rollout", "--model", "nan", "--data", "prompts.jsonl", "--out", "rollout"},
            {"not finite"});
  Database db = open_for_reading(w.path("rollout"));
  CHECK(db.value<std::string>("SELECT text FROM events WHERE level = 'error'")
            .value_or("")
            .find("not finite") != std::string::npos);
  const Arguments sft = with(kMicroSft, "--model", "nan") + Arguments{"--out", "sft"};
  w.refused(sft, {"not finite", "step 1", "no step before it is saved"});
  CHECK(error_event(w, "sft", 1).find("not finite") != std::string::npos);
  const Arguments grpo =
      with(kMicroGrpo, "--model", "nan") + Arguments{"--out", "grpo", "--steps", "2"};
  w.refused(grpo, {"not finite", "step 1"});
  CHECK(error_event(w, "grpo", 1).find("not finite") != std::string::npos);
}

TEST_CASE("failure: an update that breaks the model is said, and its model is not kept") {
  const MicroWorkshop w;
  w.refused(with(kMicroGrpo, "--learning-rate", "1e30") +
                Arguments{"--out", "r", "--steps", "4", "--save-every", "1"},
            {"the update broke the model", "step 1", "--learning-rate"});
  CHECK(error_event(w, "r", 1).find("broke the model") != std::string::npos);
  CHECK_FALSE(w.exists("r/checkpoints"));
  // The one of the last step neither.
  w.refused(
      with(kMicroSft, "--learning-rate", "1e30") + Arguments{"--out", "s", "--max-steps", "1"},
      {"the update broke the model", "step 1"});
  CHECK_FALSE(w.exists("s/model"));
}

TEST_CASE("failure: an error names the checkpoint that can be gone on from") {
  const MicroWorkshop w;
  std::string rows = read_file(w.path("prompts.jsonl"));
  const size_t at = rows.find("[a-m]", rows.find("say 7"));
  w.folder.write("one-bad.jsonl", rows.erase(at, 5));  // a gold that is empty
  w.refused(with(kMicroGrpo, "--data", "one-bad.jsonl") + Arguments{"--out", "r", "--steps", "6"},
            {"could not be judged", "the model behind step ", " is in r/checkpoints/step-"});
  Database db = open_for_reading(w.path("r"));
  const std::vector<CheckpointRow> saved = read_checkpoints(db, 1);
  REQUIRE(saved.size() == 1);
  CHECK(saved[0].key.step == static_cast<int64_t>(read_steps(db, 1, "grpo").size()));
  CHECK(w.exists("r/" + saved[0].path + "/model.safetensors"));
}

TEST_CASE("failure: an evaluation that could judge nothing is no result of 0") {
  const MicroWorkshop w;
  w.folder.write("rows.jsonl", "{\"prompt\":\"2+2\"}\n");
  const Arguments eval{"eval", "--model", "m", "--data", "rows.jsonl", "--max-new-tokens", "3"};
  w.refused(eval + Arguments{"--reward", "math", "--out", "e"},
            {"no sample could be judged", "1 x math, bad_gold", "temper reward audit"});
  Database db = open_for_reading(w.path("e"));
  CHECK(db.value<int>("SELECT pass_at_1 IS NULL FROM evals") == 1);
  CHECK(db.value<int>("SELECT count(*) FROM samples") == 1);
  // With a row that can be judged the reason stands beside the result.
  w.folder.write("rows.jsonl", "{\"prompt\":\"2+2\"}\n{\"prompt\":\"2+2\",\"gold\":\"4\"}\n");
  const std::string said = w.ends(0, eval + Arguments{"--reward", "math"});
  CHECK(said.find("1 x math, bad_gold") != std::string::npos);
  CHECK(said.find("rows: 1 prompts") != std::string::npos);
}

TEST_CASE("failure: a memory limit of the process is seen before the first step") {
  if (test::kSanitized) {
    WARN("skipped: a sanitizer's own memory has no room under a limit of addresses");
    return;
  }
  const MicroWorkshop w;
  // A cache of 4 GiB, where the limit leaves less than 2.
  const Arguments grpo =
      with(with(kMicroGrpo, "--prompts-per-step", "25000"), "--max-new-tokens", "240");
  const ProgramResult result = run_program(
      "/bin/sh",
      Arguments{"-c", "ulimit -v 2000000; exec \"$0\" \"$@\"", test::temper_binary()} + grpo +
          Arguments{"--out", "r", "--rollout-batch", "100000", "--micro-batch-tokens", "64"},
      w.folder.path());
  INFO(result.err);
  CHECK(result.exit_code == 2);
  const size_t at = result.err.find("at most ");
  REQUIRE(at != std::string::npos);
  CHECK(std::stol(result.err.substr(at + 8)) < 1954);  // MiB
  CHECK(result.err.find("lower --rollout-batch or --max-new-tokens") != std::string::npos);
  CHECK_FALSE(w.exists("r"));
}

TEST_CASE("failure: samples that the rollout's cache cannot hold wait, and it is said") {
  const MicroWorkshop w;
  const Arguments grpo =
      with(with(kMicroGrpo, "--samples-per-prompt", "16"), "--max-new-tokens", "240") +
      Arguments{"--steps", "1"};
  CHECK(w.ends(0, grpo + Arguments{"--out", "all"}).find("--cache-memory") == std::string::npos);
  const std::string said = w.ends(0, grpo + Arguments{"--out", "few", "--cache-memory", "1"});
  CHECK(said.find("cache may be too small for all samples at once: 1 MiB") != std::string::npos);
  CHECK(said.find("rollout KV cache                    1.0 MiB") != std::string::npos);
  Database all = open_for_reading(w.path("all")), few = open_for_reading(w.path("few"));
  CHECK(few.value<double>("SELECT value FROM metrics WHERE name = 'memory/cache'") <= 1 << 20);
  CHECK(all.value<double>("SELECT value FROM metrics WHERE name = 'memory/cache'") > 1 << 20);
  const auto texts = [](Database& db) {
    return db.value<std::string>(
        "SELECT group_concat(completion, '|') FROM (SELECT completion FROM samples ORDER BY "
        "group_index, sample_index)");
  };
  CHECK(texts(all) == texts(few));
}

TEST_CASE("failure: a tokenizer of another model's is said") {
  const MicroWorkshop w;
  const std::string said =
      w.ends(0, {"generate", "--model", "m", "--ids", "1", "--max-new-tokens", "2"});
  CHECK(said.find("published with the model") == std::string::npos);
  ModelConfig wide = read_model_config(w.path("m"));
  wide.vocab_size = 4096;
  OwnedWeights weights = allocate_weights(wide, DType::f32);
  initialize_weights(weights.view, wide, 1);
  save_model(weights.view, wide, w.path("wide"), {.tokenizer_from = w.path("m")});
  for (const Arguments& command :
       {Arguments{"generate", "--model", "wide", "--ids", "1", "--max-new-tokens", "2"},
        Arguments{"sft", "--model", "wide", "--data", "sft.jsonl", "--max-steps", "1", "--out",
                  "s"}})
    CHECK(w.ends(0, command).find("266 tokens, but the model 4096") != std::string::npos);
}

TEST_CASE("failure: rows of ids still need a tokenizer where text is judged, and it is said") {
  const MicroWorkshop w;
  fs::remove(w.path("m/tokenizer.json"));
  w.folder.write("ids.jsonl", "{\"ids\":[1,2,3]}\n");
  const Arguments data{"--model", "m", "--data", "ids.jsonl"};
  w.refused(Arguments{"rollout", "--out", "r"} + data, {"no tokenizer.json"});
  w.refused(Arguments{"eval", "--reward", "math"} + data, {"no tokenizer.json"});
  w.refused(Arguments{"grpo", "--reward", "math=1", "--out", "r"} + data, {"no tokenizer.json"});
  w.ends(0, {"score", "--model", "m", "--ids", "ids.jsonl"});
  w.ends(0, {"generate", "--model", "m", "--ids", "1,2", "--print-ids", "--max-new-tokens", "2"});
}

TEST_CASE("failure: a row that is no object is answered with such a row as the command reads") {
  const MicroWorkshop w;
  w.folder.write("list.jsonl", "[1,2,3]\n");
  w.refused({"score", "--model", "m", "--ids", "list.jsonl"}, {"list.jsonl:1", "{\"ids\":[...]}"});
  w.refused({"score", "--model", "m", "--file", "list.jsonl"}, {"list.jsonl:1", "{\"text\":...}"});
}

TEST_CASE(
    "failure: model info of a config without weights plans, and of a damaged folder says so") {
  const MicroWorkshop w;
  fs::create_directories(w.path("c"));
  fs::copy_file(w.path("m/config.json"), w.path("c/config.json"));
  const std::string said = w.ends(0, {"model", "info", "--model", "c"});
  CHECK(said.find("no weights in c") != std::string::npos);
  CHECK(said.find("AdamW moments") != std::string::npos);
  const std::string on_gpu = w.ends(0, {"model", "info", "--model", "c", "--dtype", "bf16"});
  CHECK(on_gpu.find("low halves of the weights") != std::string::npos);
  w.folder.write("c/model.safetensors", "short");
  const ProgramResult result = w.run({"model", "info", "--model", "c"});
  CHECK(result.exit_code == 2);
  CHECK(result.out.empty());
}
