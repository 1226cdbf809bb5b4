// `temper grpo` with presets and switches from the command line: what is resolved, stored, refused.
#include <string>
#include <vector>

#include "data/store_reader.h"
#include "tests/cli/workshop.h"

using namespace temper;
using test::has;
using test::Workshop;

namespace {

const Arguments kNeeded{"grpo",  "--model", "init",     "--data",     "train.jsonl",
                        "--out", "nowhere", "--reward", "countdown=1"};
// A preset's sizes, turned down.
const Arguments kSmall{"--steps",           "1", "--prompts-per-step",   "2",
                       "--max-new-tokens",  "8", "--samples-per-prompt", "2",
                       "--mini-batches",    "2", "--max-generations",    "2",
                       "--overlong-buffer", "4"};

}  // namespace

TEST_CASE("grpo presets: --print-config shows the published values, and flags win") {
  const Workshop shop;
  const std::string dapo =
      shop.done(kNeeded + Arguments{"--clip-low", "0.1", "--preset", "dapo", "--print-config"});
  for (const char* line :
       {"preset = \"dapo\"", "clip_high = 0.28", "clip_low = 0.1", "dynamic_sampling = true",
        "aggregation = \"token-mean\"", "kl_coef = 0\n"})
    CHECK(has(dapo, line));
  // What is printed reads back as the same table, also without the preset's name.
  shop.folder.write("a.toml", dapo);
  CHECK(shop.done({"grpo", "--config", "a.toml", "--print-config"}) == dapo);
  CHECK(has(shop.run({"grpo", "--help"}).out, "one of none r1-zero r1 deepseekmath"));
}

TEST_CASE("grpo presets: each one runs, and its resolved table is stored with the run") {
  const Workshop shop;
  shop.done({"model", "init", "--preset", "tiny", "--out", "init", "--seed", "2"});
  shop.done({"data", "countdown", "--out", "train.jsonl", "--count", "8"});
  for (const std::string name :
       {"r1-zero", "r1", "deepseekmath", "dapo", "dr-grpo", "gspo", "cispo"}) {
    INFO(name);
    const ProgramResult result =
        shop.run(Arguments{"grpo", "--model", "init", "--data", "train.jsonl", "--out", name,
                           "--reward", "countdown=1,format=0.2", "--preset", name} +
                 kSmall);
    INFO(result.err);
    REQUIRE(result.exit_code == 0);
    Database database = open_for_reading(shop.folder.path() / name);
    const std::string config = read_run(database, 1)->config;
    CHECK(has(config, "\"preset\":\"" + name + "\""));
    CHECK(has(config, "\"max_new_tokens\":8"));
    CHECK(read_steps(database, 1, "grpo").size() == 1);
  }
}

TEST_CASE("grpo presets: combinations that help nobody end with the mend and exit code 2") {
  const Workshop shop;
  const auto refused = [&](const Arguments& more, const std::string& mend) {
    const ProgramResult result = shop.run(kNeeded + more);
    INFO(result.err);
    CHECK(result.exit_code == 2);
    CHECK(has(result.err, mend));
  };
  refused({"--objective", "gspo"}, "--preset gspo");
  refused({"--preset", "dapo", "--max-new-tokens", "64"}, "--overlong-buffer");
  refused({"--kl-coef", "0", "--reference-every", "5"}, "--kl-coef");
  refused({"--preset", "dpao"}, "did you mean 'dapo'?");
  refused({"--process-reward", "math", "--preset", "gspo"}, "--objective clipped");
}
