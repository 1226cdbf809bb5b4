#include "tests/fuzz/targets.h"

#include <array>

#include "core/config_file.h"
#include "core/error.h"
#include "data/dataset.h"
#include "data/jsonl.h"
#include "data/prompts.h"
#include "data/store_blobs.h"
#include "data/tokenizer.h"
#include "grpo/stored_batch.h"
#include "model/checkpoint/checksums.h"
#include "model/checkpoint/gguf.h"
#include "model/checkpoint/safetensors.h"
#include "reward/math/checker.h"
#include "reward/spec.h"
#include "tests/fuzz/memory_file.h"

namespace temper::test {
namespace {

// Keeps the optimiser from dropping what was read.
volatile unsigned char sink = 0;
void touch(const char* data, size_t bytes) {
  for (size_t i = 0; i < bytes; i += 4096) sink = sink ^ static_cast<unsigned char>(data[i]);
  if (bytes > 0) sink = sink ^ static_cast<unsigned char>(data[bytes - 1]);
}

void safetensors(std::string_view bytes) {
  const MemoryFile memory("model.safetensors", bytes);
  const SafetensorsFile file(memory.path());
  for (const StoredTensor& t : file.tensors())
    if (t.data != nullptr) touch(t.data, t.bytes);
  file.check();
}

void gguf(std::string_view bytes) {
  const MemoryFile memory("model.gguf", bytes);
  const GgufFile file(memory.path());
  for (const GgufTensor& t : file.tensors()) {
    touch(t.data, t.bytes);
    if (t.numel() > 1 << 16) continue;
    std::vector<float> numbers(static_cast<size_t>(t.numel()));
    dequantize_ggml(t, numbers.data());
  }
  static_cast<void>(file.texts("tokenizer.ggml.tokens"));
  static_cast<void>(file.integer_or("general.alignment", 32));
}

void tokenizer(std::string_view bytes) {
  const MemoryFile memory("tokenizer.json", bytes);
  const Tokenizer t(memory.path().parent_path());
  const std::string text = "Hello, w\xc3\xb6rld! 123 <|end|>\n\n  (x+y)^2";
  static_cast<void>(t.decode(t.encode(text)));
}

void jsonl(std::string_view bytes) {
  const MemoryFile memory("train.jsonl", bytes);
  const SftRowReader sft(nullptr, nullptr, 100);
  for (JsonlReader reader(memory.path()); reader.next();) {
    try {
      static_cast<void>(sft.read(reader.row(), reader.where()));
    } catch (const UserError&) {  // the same row may still be a prompt
    }
    static_cast<void>(read_prompt(reader.row(), reader.where(), nullptr, nullptr));
  }
}

void config(std::string_view bytes) {
  const ModelConfig c = parse_model_config(parse_json(bytes, "config.json"), "config.json");
  // What was accepted must be said and read again.
  const std::string text = model_config_json(c, "bfloat16");
  static_cast<void>(parse_model_config(parse_json(text, "again"), "again"));
}

void toml(std::string_view bytes) {
  const std::vector<ConfigEntry> entries = parse_config(bytes, "run.toml");
  static_cast<void>(text_of(reward_spec_of_config(entries, "run.toml")));
}

void blob(std::string_view bytes) {
  const auto raw = std::as_bytes(std::span(bytes.data(), bytes.size()));
  static_cast<void>(from_blob<uint8_t>(raw));
  static_cast<void>(batch_to_bytes(batch_from_bytes(bytes, "checkpoint")));
  static_cast<void>(from_blob<int32_t>(raw));
  static_cast<void>(from_blob<float>(raw));
}

void checksums(std::string_view bytes) {
  const MemoryFile memory(kChecksumFile, bytes);
  static_cast<void>(damaged_files(memory.path().parent_path(), ChecksumScope::all));
}

// The first line is the gold, the rest the completion.
void math(std::string_view bytes) {
  const size_t line = bytes.find('\n');
  const std::string_view gold = bytes.substr(0, line);
  const std::string_view answer = line == std::string_view::npos ? "" : bytes.substr(line + 1);
  static_cast<void>(check_math(gold, answer, {}));
}

void reward(std::string_view bytes) {
  const RewardSpec spec = parse_reward_spec(bytes, "--reward");
  static_cast<void>(parse_reward_spec(text_of(spec), "again"));
}

constexpr std::array kTargets = {
    FuzzTarget{"safetensors", safetensors},
    FuzzTarget{"gguf", gguf},
    FuzzTarget{"tokenizer", tokenizer},
    FuzzTarget{"jsonl", jsonl},
    FuzzTarget{"config", config},
    FuzzTarget{"toml", toml},
    FuzzTarget{"blob", blob},
    FuzzTarget{"checksums", checksums},
    FuzzTarget{"math", math},
    FuzzTarget{"reward", reward},
};

}  // namespace

std::span<const FuzzTarget> fuzz_targets() {
  return kTargets;
}

void run_fuzz_target(const FuzzTarget& target, std::string_view bytes) {
  try {
    target.run(bytes);
  } catch (const UserError&) {
  } catch (const SystemError&) {
  }
}

}  // namespace temper::test
