// A folder with a random micro model and a little data, in which the binary runs.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "data/tokenizer_export.h"
#include "model/checkpoint/hf_folder.h"
#include "tests/cli/workshop.h"
#include "tests/support/small_models.h"

namespace temper::test {

struct MicroWorkshop : Workshop {
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
