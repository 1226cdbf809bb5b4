// Stages whose loss is not that of tokens, and what is built on a run, on the GPU: the numbers are
// the CPU's, and the same bits come again.
#include <sstream>

#include "core/json.h"
#include "data/store_reader.h"
#include "tests/cli/micro_workshop.h"
#include "tests/support/catch.h"
#include "tests/support/gpu.h"

using namespace temper;
using test::has;
using test::kMicroGrpo;
using test::kMicroSft;
using test::MicroWorkshop;
using test::no_gpu;

namespace {

std::vector<double> curve(const MicroWorkshop& w, const std::string& run, const std::string& kind,
                          const std::string& metric) {
  Database db = open_for_reading(w.path(run));
  std::vector<double> values;
  for (const CurvePoint& p : read_curve(db, 1, kind, metric)) values.push_back(p.value);
  return values;
}

// What the teacher of a distillation said.
std::string taught_texts(const MicroWorkshop& w, const std::string& run) {
  Database db = open_for_reading(w.path(run + "/teacher"));
  const std::string rows = "(SELECT completion FROM samples ORDER BY id)";
  return db.value<std::string>("SELECT group_concat(completion, '|') FROM " + rows).value_or("");
}

void check_close(const std::vector<double>& got, const std::vector<double>& want, double bound) {
  REQUIRE(!want.empty());
  REQUIRE(got.size() == want.size());
  for (size_t i = 0; i < want.size(); ++i) {
    INFO("step " << i + 1);
    CHECK(got[i] == Approx(want[i]).epsilon(bound));
  }
}

const Arguments kOnCpu{"--device", "cpu", "--dtype", "f32"};
const Arguments kOnGpu{"--device", "cuda", "--dtype", "f32"};
const Arguments kOnGpuNarrow{"--device", "cuda", "--dtype", "bf16"};

}  // namespace

TEST_CASE("gpu: distillation by logits gives the CPU's distances, and goes on in the same bits",
          "[gpu]") {
  if (no_gpu()) return;
  const MicroWorkshop w;
  w.ends(0, kMicroSft + kOnCpu + Arguments{"--max-steps", "12", "--out", "taught"});
  const Arguments distill{"distill",
                          "--teacher",
                          "taught/model",
                          "--student",
                          "m",
                          "--data",
                          "prompts.jsonl",
                          "--reward",
                          "regex(pattern=\".\"; match=search; part=all)",
                          "--max-new-tokens",
                          "8",
                          "--samples",
                          "2",
                          "--batch-size",
                          "4",
                          "--learning-rate",
                          "3e-3",
                          "--max-steps",
                          "6"};
  const Arguments reverse = distill + Arguments{"--loss", "reverse-kl", "--on-policy"};
  for (const char* loss : {"forward-kl", "reverse-kl"}) {
    INFO(loss);
    // The teacher's most likely words, and so the same texts for all.
    const Arguments by =
        distill + Arguments{"--loss",        loss, "--keep-truncated", "--max-repetition", "1",
                            "--temperature", "0"};
    const std::string cpu = std::string(loss) + "-cpu", gpu = std::string(loss) + "-gpu";
    w.ends(0, by + kOnCpu + Arguments{"--out", cpu});
    w.ends(0, by + kOnGpu + Arguments{"--out", gpu});
    w.ends(0, by + kOnGpuNarrow + Arguments{"--out", gpu + "-bf16"});
    const std::string texts = taught_texts(w, cpu);
    REQUIRE(taught_texts(w, gpu) == texts);
    check_close(curve(w, gpu, "distill", "kl"), curve(w, cpu, "distill", "kl"), 1e-3);
    if (taught_texts(w, gpu + "-bf16") == texts)
      check_close(curve(w, gpu + "-bf16", "distill", "kl"), curve(w, cpu, "distill", "kl"), 0.05);
  }
  w.ends(0, reverse + kOnGpuNarrow + Arguments{"--out", "on-policy"});
  const std::vector<double> kl = curve(w, "on-policy", "distill", "kl");
  REQUIRE(kl.size() == 6);
  CHECK(kl.back() < kl.front());
  // Killed behind its fourth update, it goes on from its checkpoint of the second.
  const Arguments saving = reverse + kOnGpuNarrow + Arguments{"--save-every", "2"};
  w.ends(0, saving + Arguments{"--out", "straight"});
  run_program("/usr/bin/env",
              Arguments{"TEMPER_KILL_AT=updated:4", test::temper_binary()} + saving +
                  Arguments{"--out", "killed"},
              w.folder.path());
  CHECK(curve(w, "killed", "distill", "kl").size() == 3);
  w.ends(0, saving + Arguments{"--resume", "--out", "killed"});
  CHECK(test::differing(w.path("straight"), w.path("killed")).empty());
}

TEST_CASE("gpu: a reward model learns and scores as on the CPU, as a rule too", "[gpu]") {
  if (no_gpu()) return;
  const MicroWorkshop w;
  std::string pairs;
  for (int i = 0; i < 24; ++i) {
    const std::string n = std::to_string(i);
    pairs +=
        R"({"prompt":"say )" + n + R"(","chosen":"yes )" + n + R"(","rejected":"no )" + n + "\"}\n";
  }
  w.folder.write("pairs.jsonl", pairs);
  w.folder.write("answers.jsonl",
                 "{\"prompt\":\"say 7\",\"completion\":\"yes 7\"}\n"
                 "{\"prompt\":\"say 7\",\"completion\":\"no 7\"}\n");
  const Arguments train{
      "reward-model", "--model", "m",           "--data", "pairs.jsonl",     "--holdout", "0.25",
      "--batch-size", "6",       "--max-steps", "8",      "--learning-rate", "3e-3"};
  w.ends(0, train + kOnCpu + Arguments{"--out", "cpu"});
  w.ends(0, train + kOnGpu + Arguments{"--out", "gpu"});
  w.ends(0, train + kOnGpu + Arguments{"--out", "again"});
  w.ends(0, train + kOnGpuNarrow + Arguments{"--out", "narrow"});
  check_close(curve(w, "gpu", "reward-model", "loss"), curve(w, "cpu", "reward-model", "loss"),
              1e-3);
  check_close(curve(w, "narrow", "reward-model", "loss"), curve(w, "cpu", "reward-model", "loss"),
              0.05);
  CHECK(curve(w, "gpu", "reward-model", "loss") == curve(w, "again", "reward-model", "loss"));
  const auto score = [&](const char* device) {
    const ProgramResult result = w.run({"reward", "score", "--rule", "rm(model=cpu/model)",
                                        "--data", "answers.jsonl", "--device", device});
    INFO(result.err);
    REQUIRE(result.exit_code == 0);
    std::vector<double> values;
    std::istringstream lines(result.out);
    for (std::string line; std::getline(lines, line);)
      values.push_back(parse_json(line, "reward score")["value"].GetDouble());
    return values;
  };
  check_close(score("cuda"), score("cpu"), 0.05);

  w.ends(0, {"grpo",
             "--model",
             "m",
             "--data",
             "prompts.jsonl",
             "--reward",
             "rm(model=gpu/model)=1",
             "--steps",
             "2",
             "--prompts-per-step",
             "2",
             "--samples-per-prompt",
             "2",
             "--max-new-tokens",
             "6",
             "--max-unjudged",
             "1",
             "--device",
             "cuda",
             "--out",
             "judged"});
  Database db = open_for_reading(w.path("judged"));
  CHECK(db.value<int64_t>("SELECT count(*) FROM rewards WHERE rule = 'rm'").value_or(0) == 8);
}

TEST_CASE("gpu: a model that judges says on the GPU what it says on the CPU", "[gpu]") {
  if (no_gpu()) return;
  const MicroWorkshop w;
  w.ends(0, {"model", "init", "--preset", "tiny", "--out", "judge", "--seed", "2"});
  w.folder.write("ask.txt", "Q {question} A {answer}\n");
  w.folder.write("answers.jsonl",
                 "{\"prompt\":\"say 7\",\"completion\":\"yes 7\"}\n"
                 "{\"prompt\":\"say 8\",\"completion\":\"no, nothing\"}\n");
  const auto said = [&](const Arguments& where) {
    const ProgramResult result =
        w.run(Arguments{"reward", "score", "--rule",
                        "judge(model=judge;prompt=ask.txt;begin=Verdict:;max_tokens=12)", "--data",
                        "answers.jsonl"} +
              where);
    INFO(result.err);
    REQUIRE(result.exit_code == 0);
    std::vector<std::string> all;
    std::istringstream lines(result.out);
    for (std::string line; std::getline(lines, line);) {
      const Json row = parse_json(line, "reward score");
      all.push_back(std::string(row["status"].GetString()) + " " + row["reason"].GetString());
    }
    return all;
  };
  const std::vector<std::string> want = said(kOnCpu);
  REQUIRE(want.size() == 2);
  CHECK(want[0] != want[1]);  // the words are of the answers
  CHECK(said(kOnGpu) == want);
}

TEST_CASE("gpu: a stored step is replayed bit for bit", "[gpu]") {
  if (no_gpu()) return;
  const MicroWorkshop w;
  for (const Arguments& how : {kOnGpu, kOnGpuNarrow}) {
    const std::string run = "run-" + how.back();
    w.ends(0, kMicroGrpo + how +
                  Arguments{"--steps", "4", "--save-every", "2", "--keep", "9", "--kl-coef", "0.05",
                            "--out", run});
    const std::string said = w.ends(0, {"replay", "step", run, "3"});
    INFO(said);
    CHECK(has(said, "from checkpoints/step-2"));
    CHECK(has(said, "equal bit for bit"));
    CHECK(has(w.ends(0, {"replay", "step", run, "2", "--to", "4"}), "equal bit for bit"));
  }
}
