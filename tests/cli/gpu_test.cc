// What a user with a GPU counts on: a run that is killed goes on in the same bits, and one whose
// GPU fails ends with a message, keeps its last checkpoint and goes on from it.
#include <filesystem>
#include <fstream>

#include "data/store_reader.h"
#include "tests/cli/micro_workshop.h"
#include "tests/support/catch.h"
#include "tests/support/gpu.h"

using namespace temper;
using test::differing;
using test::has;
using test::kMicroGrpo;
using test::kMicroSft;
using test::MicroWorkshop;
using test::no_gpu;
namespace fs = std::filesystem;

namespace {

const Arguments kSft =
    kMicroSft + Arguments{"--max-steps", "8", "--save-every", "2", "--device", "cuda"};
const Arguments kGrpo =
    kMicroGrpo + Arguments{"--steps", "6", "--save-every", "2", "--device", "cuda"};

int64_t count(const fs::path& run, const std::string& sql) {
  Database db = open_for_reading(run);
  return db.value<int64_t>(sql).value_or(-1);
}

}  // namespace

TEST_CASE("gpu: sft and grpo killed at random moments end in the same bits", "[gpu]") {
  if (no_gpu()) return;
  for (const Arguments& recipe : {kSft, kGrpo}) {
    const MicroWorkshop w;
    const ProgramResult result = w.run(
        Arguments{"verify-resume", "--out", "v", "--kills", "4", "--seed", "3", "--"} + recipe);
    INFO(recipe[0] << "\n" << result.out << result.err);
    CHECK(result.exit_code == 0);
    CHECK(has(result.out, "every resumed run ended in the same bits"));
    CHECK(has(result.out, "model/training_state.safetensors"));
  }
}

TEST_CASE("gpu: a GPU that fails ends the run, and --resume goes on from its checkpoint", "[gpu]") {
  if (no_gpu()) return;
  const fs::path breaker = fs::path(test::temper_binary()).parent_path() / "libgpu_breaker.so";
  REQUIRE(fs::exists(breaker));
  for (const Arguments& recipe : {kSft, kGrpo}) {
    const MicroWorkshop w;
    w.ends(0, recipe + Arguments{"--out", "straight"});
    // Later and later, until the run has a checkpoint when it happens.
    bool kept = false;
    for (int copies = 10; !kept; copies += copies / 2) {
      fs::remove_all(w.path("r"));
      const ProgramResult broken =
          run_program("/usr/bin/env",
                      Arguments{"LD_PRELOAD=" + breaker.string(),
                                "BREAK_GPU_AT=" + std::to_string(copies), test::temper_binary()} +
                          recipe + Arguments{"--out", "r"},
                      w.folder.path());
      INFO(recipe[0] << " broken at copy " << copies << "\n" << broken.err);
      REQUIRE(broken.exit_code == 1);  // neither 0 nor a signal's
      CHECK(has(broken.err, "error: CUDA: "));
      CHECK(has(broken.err, "cudaErrorIllegalAddress"));
      CHECK(has(broken.err, "--resume"));
      kept = fs::exists(w.path("r") / "run.db") &&
             count(w.path("r"), "SELECT count(*) FROM checkpoints") > 0;
    }
    CHECK(count(w.path("r"), "SELECT count(*) FROM runs WHERE status = 'failed'") == 1);
    w.ends(0, {recipe[0], "--resume", "--out", "r"});
    CHECK(differing(w.path("straight"), w.path("r")).empty());
  }
}

// What a step calls is what a run of three more steps calls more. Its six waits, all when the way
// back is queued: for the loss, the MTP modules' loss, the norm of the gradients, the experts'
// loads, the balance loss, and the norm of the update.
TEST_CASE("gpu: a step of training takes no memory, and waits for numbers of the log alone",
          "[gpu]") {
  if (no_gpu()) return;
  const fs::path counter = fs::path(test::temper_binary()).parent_path() / "libcuda_calls.so";
  REQUIRE(fs::exists(counter));
  const MicroWorkshop w;
  const auto calls = [&](const std::string& steps) {
    const std::string file = w.path("calls" + steps).string();
    const ProgramResult result = run_program(
        "/usr/bin/env",
        {"LD_PRELOAD=" + counter.string(), "CUDA_CALLS_FILE=" + file, test::temper_binary(), "sft",
         "--model", "m", "--data", "sft.jsonl", "--batch-size", "12", "--max-steps", steps, "--out",
         "r" + steps, "--device", "cuda", "--mtp-weight", "0.3"},
        w.folder.path());
    INFO(result.err);
    REQUIRE(result.exit_code == 0);
    std::ifstream in(file);
    std::string memory, waits;
    std::pair<int64_t, int64_t> out{-1, -1};
    REQUIRE(in >> memory >> out.first >> waits >> out.second);
    return out;
  };
  const auto [memory, waits] = calls("3");
  const auto [memory_later, waits_later] = calls("6");
  CHECK(memory > 0);
  CHECK(memory_later == memory);
  CHECK(waits_later - waits == 3 * 6);
}
