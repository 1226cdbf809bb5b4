// The binary from data to inspection as a user runs it, and what it says when something is wrong.
#include <filesystem>
#include <string>
#include <vector>

#include "core/file.h"
#include "data/store_reader.h"
#include "model/checkpoint/hf_folder.h"
#include "tests/cli/workshop.h"
#include "tests/support/shared.h"

using namespace temper;
using test::has;
namespace fs = std::filesystem;

namespace {

// A folder with a random tiny model and a little Countdown data; commands run inside of it.
struct CountdownWorkshop : test::Workshop {
  CountdownWorkshop() {
    done({"model", "init", "--preset", "tiny", "--out", "init", "--seed", "2"});
    done({"data", "countdown", "--out", "train.jsonl", "--count", "24", "--demonstrations"});
    done({"data", "countdown", "--out", "test.jsonl", "--count", "4", "--split", "test"});
  }
};

const Arguments kModelAndData{"--model", "init", "--data", "train.jsonl"};
const Arguments kSft = Arguments{"sft", "--max-steps", "2", "--batch-size", "4"} + kModelAndData;
const Arguments kGrpo{"grpo",
                      "--data",
                      "train.jsonl",
                      "--reward",
                      "countdown=1,format=0.2",
                      "--steps",
                      "2",
                      "--prompts-per-step",
                      "2",
                      "--samples-per-prompt",
                      "2",
                      "--max-new-tokens",
                      "12"};

}  // namespace

TEST_CASE("stages: data, init, sft, eval, grpo, inspect from the command line") {
  const CountdownWorkshop w;
  const ProgramResult sft = w.run(kSft + Arguments{"--out", "sft", "--holdout", "0.2"});
  INFO(sft.err);
  REQUIRE(sft.exit_code == 0);
  CHECK(sft.out.empty());  // results go to files, words to stderr
  for (const char* part : {"24 rows", "memory plan", "held-out loss", "temper inspect sft"})
    CHECK(has(sft.err, part));

  const std::string table =
      w.done({"eval", "--model", "sft/model", "--data", "test.jsonl", "--reward",
              "countdown=1,format=0.2", "--max-new-tokens", "12", "--samples", "2", "--out", "ev"});
  for (const char* part : {"pass@1", "+-", "format", "4 prompts"}) CHECK(has(table, part));

  const ProgramResult grpo = w.run(kGrpo + Arguments{"--model", "sft/model", "--out", "grpo"});
  INFO(grpo.err);
  REQUIRE(grpo.exit_code == 0);
  CHECK(has(grpo.err, "memory plan"));
  CHECK_FALSE(has(grpo.err, "micro-batches of 8192"));  // a step has far fewer tokens
  CHECK(has(grpo.err, "without signal"));

  CHECK(has(w.done({"inspect", "runs", "grpo"}), "done"));
  CHECK(has(w.done({"inspect", "curve", "grpo", "--metric", "reward/mean"}), "reward/mean"));
  CHECK(has(w.done({"inspect", "samples", "grpo", "--best", "1"}), "countdown"));
  CHECK(has(w.done({"inspect", "sample", "grpo", "1"}), "rollout"));
  CHECK(has(w.done({"inspect", "sql", "grpo", "SELECT count(*) AS n FROM samples"}), "8"));
  CHECK(has(w.done({"inspect", "runs", "ev"}), "eval"));

  // The run is a model folder again, and the database holds what the optimiser used.
  Database database = open_for_reading(w.folder.path() / "grpo");
  CHECK(read_samples(database, {1, "grpo", 2}).size() == 4);
  for (const CurvePoint& p : read_curve(database, 1, "grpo", "mismatch/max"))
    CHECK(p.value <= 1e-4);
  CHECK(read_checkpoints(database, 1).size() == 1);
  const auto fact = [&](const std::string& name) {
    return database
        .value<std::string>("SELECT json_extract(environment, '$.' || ?) FROM runs", name)
        .value_or("none");
  };
  CHECK(fact("device") == "cpu");
  CHECK(fact("architecture") == "deepseek_v3");
  CHECK(fact("chat_template") == "temper");
  CHECK(fact("tokenizer").rfind("xxh64:", 0) == 0);
  CHECK(std::stoll(fact("parameters")) > std::stoll(fact("active_parameters")));
  CHECK(has(w.done({"inspect", "runs", "grpo"}), fact("chat_template")));
  Context ctx(1);
  const LoadedModel model = load_model(ctx, w.folder.path() / "grpo/model", DType::f32);
  CHECK(model.config.num_nextn_predict_layers == 1);
  CHECK(has(w.done({"generate", "--model", "grpo/model", "--ids", "1,2,3", "--temperature", "0",
                    "--max-new-tokens", "3", "--print-ids"}),
            ","));
}

TEST_CASE("stages: two runs of one setting have one hash of their options") {
  const CountdownWorkshop w;
  const auto hash = [&](const std::string& out, const Arguments& more) {
    w.done(Arguments{"sft", "--batch-size", "4", "--max-steps", "1", "--out", out} + kModelAndData +
           more);
    Database database = open_for_reading(w.folder.path() / out);
    return database
        .value<std::string>("SELECT json_extract(environment, '$.options_hash') FROM runs")
        .value_or("none");
  };
  const std::string first = hash("a", {});
  CHECK(hash("b", {"--max-tokens", "2048"}) == first);  // the default, said
  CHECK(hash("c", {"--max-tokens", "64"}) != first);
}

TEST_CASE("stages: the same commands twice give the same bytes") {
  const CountdownWorkshop w;
  for (const char* out : {"a", "b"}) w.done(kSft + Arguments{"--out", out, "--seed", "5"});
  const auto weights = [&](const std::string& run) {
    return read_file(w.folder.path() / run / "model/model.safetensors");
  };
  CHECK(weights("a") == weights("b"));
  CHECK(weights("a") != read_file(w.folder.path() / "init/model.safetensors"));
}

TEST_CASE("stages: a mistake is refused before anything is written, with its mend") {
  const CountdownWorkshop w;
  const fs::path dir = w.folder.path();
  w.refused(kSft + Arguments{"--out", "r", "--learning-rat", "1"},
            {"--learning-rat", "did you mean '--learning-rate'?"});
  w.folder.write("d.toml", "batch_size = 4\nlerning_rate = 1\n");
  w.refused(kSft + Arguments{"--out", "r", "--config", "d.toml"},
            {"d.toml:2", "lerning_rate", "did you mean 'learning_rate'?"});
  w.refused(Arguments{"sft", "--out", "r", "--batch-size", "0"} + kModelAndData,
            {"--batch-size", "at least 1"});
  w.refused(kSft + Arguments{"--out", "r", "--save-dtype", "f16"}, {"--save-dtype", "bf16"});
  w.refused(kSft + Arguments{"--out", "r", "--device", "cpu", "--dtype", "f16"},
            {"cpu backend does not compute in f16", "f32 or f64"});
  w.refused(Arguments{"grpo", "--out", "r", "--reward", "cuontdown=1"} + kModelAndData,
            {"--reward", "cuontdown", "did you mean 'countdown'?"});

  w.folder.write("bad.jsonl", "{\"ids\":[1,2,3]}\n{\"ids\":[1,2\n");
  w.folder.write("big.jsonl", "{\"ids\":[1,2,3]}\n\n{\"ids\":[1,99999]}\n");
  w.folder.write("odd.jsonl", "{\"text\":\"what?\"}\n");
  const auto with_data = [&](const std::string& file) {
    return Arguments{"sft", "--model", "init", "--out", "r", "--data", file};
  };
  w.refused(with_data("bad.jsonl"), {"bad.jsonl:2", "JSON"});
  w.refused(with_data("big.jsonl"), {"big.jsonl:3", "99999"});
  w.refused(with_data("odd.jsonl"), {"odd.jsonl:1", "\"messages\""});
  w.refused(with_data("absent.jsonl"), {"absent.jsonl"});

  fs::create_directory(dir / "mixed");
  for (const auto& entry : fs::directory_iterator(dir / "init"))
    fs::copy(entry.path(), dir / "mixed" / entry.path().filename());
  std::string config = read_file(dir / "mixed/config.json");
  const std::string tokenizer = read_file(dir / "mixed/tokenizer.json");
  const std::string more =
      "\"added_tokens\":[{\"id\":4000,\"content\":\"<|far|>\",\"special\":true,"
      "\"single_word\":false,\"lstrip\":false,\"rstrip\":false,"
      "\"normalized\":false},";
  const size_t place = tokenizer.find("\"added_tokens\"");
  REQUIRE(place != std::string::npos);
  const size_t bracket = tokenizer.find('[', place);
  w.folder.write("mixed/tokenizer.json",
                 tokenizer.substr(0, place) + more + tokenizer.substr(bracket + 1));
  w.refused({"sft", "--model", "mixed", "--out", "r", "--data", "train.jsonl"},
            {"tokenizer", "does not match the model", "vocab_size"});

  const size_t key = config.find("\"kv_lora_rank\"");
  REQUIRE(key != std::string::npos);
  w.folder.write("mixed/config.json", config.replace(key, 14, "\"kv_lora_rnk\""));
  w.refused({"sft", "--model", "mixed", "--out", "r", "--data", "train.jsonl"},
            {"config.json", "kv_lora_rnk", "did you mean 'kv_lora_rank'?"});
  CHECK_FALSE(w.exists("r"));
}

TEST_CASE("stages: a run directory that holds a run is left as it is") {
  const CountdownWorkshop w;
  w.done(kSft + Arguments{"--out", "r"});
  const fs::path model = w.folder.path() / "r/model/model.safetensors";
  const std::string before = read_file(model);
  w.refused(kSft + Arguments{"--out", "r", "--seed", "9"}, {"--out", "run.db", "another --out"});
  w.refused(kGrpo + Arguments{"--model", "r/model", "--out", "r"}, {"--out"});
  fs::create_directories(w.folder.path() / "mine/model");
  w.folder.write("mine/model/notes.txt", "mine");
  w.refused(kSft + Arguments{"--out", "mine"}, {"--out", "model"});
  CHECK(read_file(model) == before);
  Database database = open_for_reading(w.folder.path() / "r");
  CHECK(read_runs(database).size() == 1);
  CHECK(read_steps(database, 1, "sft").size() == 2);
}

TEST_CASE("stages: a run that cannot go on says why and keeps what was written") {
  const CountdownWorkshop w;
  const ProgramResult result =
      w.run(Arguments{"sft", "--out", "r", "--learning-rate", "1e25", "--batch-size", "4",
                      "--max-steps", "20", "--save-every", "1"} +
            kModelAndData);
  INFO(result.err);
  CHECK(result.exit_code == 2);
  CHECK(has(result.err, "not finite"));
  CHECK(has(result.err, "--learning-rate"));
  Database database = open_for_reading(w.folder.path() / "r");
  CHECK(read_runs(database).at(0).status == "failed");
  CHECK(has(result.err, "step 1"));
  CHECK(has(result.err, "no step before it is saved"));
  CHECK(read_checkpoints(database, 1).empty());  // nothing that is broken
  CHECK(database.value<std::string>("SELECT text FROM events WHERE level = 'error' AND step = 1")
            .value()
            .find("not finite") != std::string::npos);

  w.folder.write("nogold.jsonl", "{\"prompt\":\"what?\"}\n");
  w.refused({"grpo", "--model", "init", "--data", "nogold.jsonl", "--reward", "math=1", "--out",
             "g", "--steps", "1", "--prompts-per-step", "1", "--max-new-tokens", "4"},
            {"could not be judged", "--max-unjudged", "bad_gold", "temper reward audit"});
}

TEST_CASE("stages: rows of ids train a model that has no tokenizer") {
  const CountdownWorkshop w;
  fs::remove(w.folder.path() / "init/tokenizer.json");
  fs::remove(w.folder.path() / "init/tokenizer_config.json");
  w.folder.write("ids.jsonl",
                 "{\"ids\":[1,2,3,4]}\n{\"ids\":[5,6,7],\"mask\":[0,0,1]}\n{\"ids\":[9]}\n");
  const ProgramResult result = w.run({"sft", "--model", "init", "--data", "ids.jsonl", "--out", "r",
                                      "--max-steps", "2", "--dtype", "f64"});
  INFO(result.err);
  REQUIRE(result.exit_code == 0);
  CHECK(has(result.err, "3 rows, 2 samples, 7 tokens (4 with loss)"));
  CHECK(has(result.err, "1 of 3 rows have no token with loss"));
  w.refused({"sft", "--model", "init", "--data", "train.jsonl", "--out", "t"},
            {"train.jsonl:1", "no tokenizer"});
}

TEST_CASE("stages: stories260K tells its story about Lily and is fine-tuned") {
  const fs::path source = test::shared_data_dir() / "stories260K/stories260K.bin";
  if (!test::present(source)) return;
  const CountdownWorkshop w;
  w.done({"model", "convert", "--in", source.string(), "--out", "stories", "--dtype", "f32"});
  const auto story = [&](const std::string& model) {
    return w.done({"generate", "--model", model, "--ids", "1", "--temperature", "0",
                   "--max-new-tokens", "60"});
  };
  CHECK(has(story("stories"),
            "Once upon a time, there was a little girl named Lily. She loved to play outside in "
            "the park. One day, she saw a big, red ball."));
  w.folder.write("more.jsonl",
                 R"({"prompt":"Once upon a time","completion":", there was a boy named Tim."})"
                 "\n"
                 R"({"prompt":"One day","completion":", Tim saw a frog."})"
                 "\n");
  w.done({"sft", "--model", "stories", "--data", "more.jsonl", "--out", "tuned", "--max-steps",
          "12", "--learning-rate", "1e-3", "--template", "raw"});
  Database database = open_for_reading(w.folder.path() / "tuned");
  const std::vector<CurvePoint> loss = read_curve(database, 1, "sft", "loss");
  REQUIRE(loss.size() == 12);
  CHECK(loss.back().value < 0.7 * loss.front().value);
  CHECK(has(story("tuned/model"), "Tim"));
  w.refused({"grpo", "--model", "stories", "--data", "more.jsonl", "--out", "g", "--reward",
             "format=1", "--template", "raw", "--replay-routing", "on"},
            {"--replay-routing on", "no experts", "auto"});
}
