#include "cli/run_row.h"

#include <map>

#include "cli/help.h"
#include "cli/stored_options.h"
#include "core/device.h"
#include "core/file.h"
#include "core/hash.h"
#include "core/json.h"
#include "model/checkpoint/checksums.h"
#include "model/config.h"
#include "model/weights.h"

namespace temper {
namespace {

// What the model and its tokenizer are; nothing of a server, of recorded traces or of a chain.
std::string model_json(const RunFacts& facts) {
  const std::filesystem::path dir = facts.model;
  std::string json;
  if (std::filesystem::is_regular_file(dir / "config.json")) {
    const ModelConfig config = read_model_config(dir);
    const ParameterCount count = count_parameters(config);
    json += ",\"architecture\":" + quote_json(config.model_type) +
            ",\"parameters\":" + std::to_string(count.total) +
            ",\"active_parameters\":" + std::to_string(count.active);
  }
  if (std::filesystem::is_regular_file(dir / "tokenizer.json"))
    json += ",\"tokenizer\":" + quote_json(file_checksum(dir / "tokenizer.json"));
  if (!facts.chat_template.empty()) json += ",\"chat_template\":" + quote_json(facts.chat_template);
  return json;
}

std::string environment_json(const Invocation& cli, const RunFacts& facts) {
  const Device device = device_of(cli.common.device);
  std::string json = "{\"threads\":" + std::to_string(cli.common.threads) + ",\"dtype\":\"" +
                     std::string(name_of(facts.dtype)) + "\",\"device\":\"" +
                     std::string(name_of(device)) + "\",\"devices\":1";
  if (device == Device::cuda) json += ",\"gpu\":" + quote_json(gpu_info().name);
  json += ",\"options_hash\":" + quote_json(options_hash(cli.options)) + model_json(facts);
  if (facts.micro_batch_tokens > 0)
    json += ",\"micro_batch_tokens\":" + std::to_string(facts.micro_batch_tokens) +
            ",\"model_files\":" + model_checksums(facts.model);
  return json + "}";
}

}  // namespace

std::string data_hashes(const std::vector<std::string>& files) {
  std::string json = "{";
  for (const std::string& file : files)
    json += (json.size() > 1 ? "," : "") + quote_json(file) + ":" +
            quote_json(fingerprint(read_file(file)));
  return json + "}";
}

std::string model_checksums(const std::filesystem::path& dir) {
  std::map<std::string, std::string> sums;  // in the order of names
  for (const auto& entry : std::filesystem::directory_iterator(dir)) {
    const std::string name = entry.path().filename().string();
    const bool weights = name.ends_with(".safetensors") && !name.starts_with("training_state.");
    if (weights || name == "config.json") sums[name] = file_checksum(entry.path());
  }
  std::string json = "{";
  for (const auto& [name, sum] : sums)
    json += (json.size() > 1 ? "," : "") + quote_json(name) + ":" + quote_json(sum);
  return json + "}";
}

NewRun run_row(const Invocation& cli, const RunFacts& facts) {
  cli.interrupt.watch();  // from here on the row has to say how the run ended
  return {.kind = facts.kind,
          .model = facts.model,
          .seed = static_cast<uint64_t>(facts.seed),
          .code_version = version_text(),
          .command_line = cli.command_line,
          .config = cli.options.to_json(),
          .data_hashes = data_hashes(facts.data),
          .environment = environment_json(cli, facts)};
}

}  // namespace temper
