// temper model init: a new model with random weights from a preset.
#include <algorithm>
#include <filesystem>
#include <memory>

#include "cli/subcommands.h"
#include "core/error.h"
#include "data/tokenizer.h"
#include "data/tokenizer_export.h"
#include "model/checkpoint/hf_folder.h"
#include "model/checkpoint/staging_folder.h"

namespace temper {
namespace {

namespace fs = std::filesystem;

struct InitOptions {
  std::string preset = "tiny", out, tokenizer;
  int64_t seed = 1;
  StoredAs dtype = StoredAs::f32;
};

OptionsTable init_table(InitOptions& o) {
  OptionsTable table;
  std::string known;
  for (const std::string& name : preset_names()) known += (known.empty() ? "" : ", ") + name;
  table.group("Shape");
  table.add("preset", &o.preset, "built-in shape: " + known).value_name("NAME");
  table
      .add("tokenizer", &o.tokenizer,
           "folder to copy the tokenizer from; default: the built-in byte tokenizer")
      .value_name("DIR");
  table.add("seed", &o.seed, "seed of the weights; the same seed gives the same weights anywhere")
      .at_least(0);
  table.group("Output");
  table.add("out", &o.out, "folder to write; must not exist").value_name("DIR").required();
  table.add_choice("dtype", &o.dtype, {{"f32", StoredAs::f32}, {"bf16", StoredAs::bf16}},
                   "how to store the weights");
  return table;
}

// The preset with room for every id of the tokenizer, and with its special ids.
ModelConfig config_of(const InitOptions& o) {
  ModelConfig config = preset_config(o.preset);
  if (o.tokenizer.empty()) {
    config.vocab_size = std::max<int64_t>(config.vocab_size, TinyTokenizer::kVocabSize);
    config.bos_token_id = TinyTokenizer::kBegin;
    config.eos_token_id = {TinyTokenizer::kEnd};
    return config;
  }
  const Tokenizer tokenizer(o.tokenizer);
  config.vocab_size = std::max<int64_t>(config.vocab_size, tokenizer.vocab_size());
  config.bos_token_id = tokenizer.bos_id();
  config.eos_token_id.assign(tokenizer.eos_ids().begin(), tokenizer.eos_ids().end());
  return config;
}

int init(const InitOptions& o, Invocation& cli) {
  const fs::path out = o.out;
  if (fs::exists(out))
    throw UserError({.what = "--out exists",
                     .where = out.string(),
                     .hint = "name a new folder, or remove this one"});
  const ModelConfig config = config_of(o);
  OwnedWeights weights = allocate_weights(config, DType::f32);
  initialize_weights(weights.view, config, static_cast<uint64_t>(o.seed));
  StagingFolder staging(out);
  write_model_files(weights.view, config, staging.path(),
                    {.stored_as = o.dtype, .tokenizer_from = o.tokenizer});
  if (o.tokenizer.empty()) write_tiny_tokenizer(staging.path());
  staging.commit();
  const ParameterCount count = count_parameters(config);
  cli.log.info("wrote " + out.string() + ": " + std::to_string(count.total) + " parameters, " +
               std::to_string(count.active) + " active");
  return 0;
}

}  // namespace

void add_model_init(Subcommands& list) {
  auto o = std::make_shared<InitOptions>();
  list.add({.name = "model init",
            .about = "a new model with random weights from a preset",
            .examples = "  temper model init --preset tiny --out runs/tiny --seed 1",
            .options = init_table(*o),
            .run = [o](Invocation& cli) { return init(*o, cli); }});
}

}  // namespace temper
