// A folder with a random micro model and a little data, in which the binary runs.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "data/tokenizer_export.h"
#include "model/checkpoint/hf_folder.h"
#include "tests/support/catch.h"
#include "tests/support/paths.h"
#include "tests/support/run_binary.h"
#include "tests/support/small_models.h"

namespace temper::test {

struct MicroWorkshop {
  TemporaryFolder folder;

  MicroWorkshop() {
    ModelConfig config = small_v3_config();
    config.vocab_size = TinyTokenizer::kVocabSize;
    config.eos_token_id = {TinyTokenizer::kEnd};
    config.initializer_range = 0.1;
    OwnedWeights weights = allocate_weights(config, DType::f32);
    initialize_weights(weights.view, config, 6);
    std::filesystem::create_directories(path("m"));
    write_tiny_tokenizer(path("m"));
    save_into(path("m"), weights, config);
    std::string sft, prompts;
    for (int i = 0; i < 12; ++i) {
      const std::string n = std::to_string(i);
      sft += R"({"prompt":"count )" + n + R"(","completion":"one two )" + n + "\"}\n";
      prompts += R"({"prompt":"say )" + n + R"(","gold":"[a-m]"})" + "\n";
    }
    folder.write("sft.jsonl", sft);
    folder.write("prompts.jsonl", prompts);
  }
  std::filesystem::path path(const std::string& name) const { return folder.path() / name; }
  bool exists(const std::string& name) const { return std::filesystem::exists(path(name)); }

  ProgramResult run(const Arguments& arguments) const {
    return run_program(temper_binary(), arguments, folder.path());
  }
  // Runs what must end with this exit code; returns what it wrote to stderr and stdout.
  std::string ends(int code, const Arguments& arguments) const {
    const ProgramResult result = run(arguments);
    INFO(arguments[0] << ": " << result.err);
    REQUIRE(result.exit_code == code);
    return result.err + result.out;
  }
  // Runs what must be refused, in words that hold all `parts`.
  void refused(const Arguments& arguments, const std::vector<std::string>& parts,
               int code = 2) const {
    const ProgramResult result = run(arguments);
    INFO(result.err);
    CHECK(result.exit_code == code);
    for (const std::string& part : parts) CHECK(result.err.find(part) != std::string::npos);
  }

 private:
  static void save_into(const std::filesystem::path& dir, OwnedWeights& weights,
                        const ModelConfig& config) {
    write_model_files(weights.view, config, dir, {});
  }
};

// Recipes without --out.
inline const Arguments kMicroSft{"sft",       "--model",      "m",   "--data",
                                 "sft.jsonl", "--batch-size", "4",   "--learning-rate",
                                 "0.01",      "--holdout",    "0.2", "--bias-update-speed",
                                 "0.01",      "--mtp-weight", "0.3"};
inline const Arguments kMicroGrpo{"grpo",
                                  "--model",
                                  "m",
                                  "--data",
                                  "prompts.jsonl",
                                  "--reward",
                                  "regex(match=search;part=all)=1",
                                  "--learning-rate",
                                  "0.01",
                                  "--prompts-per-step",
                                  "2",
                                  "--samples-per-prompt",
                                  "4",
                                  "--max-new-tokens",
                                  "6"};

}  // namespace temper::test
