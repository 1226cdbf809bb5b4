#include "cli/load_model.h"

#include "core/device.h"

namespace temper {

const Tokenizer& ModelInUse::need_tokenizer() const {
  if (!tokenizer)
    throw UserError({.what = "the model folder has no tokenizer.json",
                     .where = path.string(),
                     .hint = "copy tokenizer.json and tokenizer_config.json of the model there"});
  return *tokenizer;
}

ModelInUse load_model_in_use(Context& ctx, const std::filesystem::path& dir, DType dtype,
                             Logger& log) {
  check_arithmetic(ctx.device, dtype);
  ModelInUse model;
  model.path = dir;
  LoadedModel loaded = load_model(ctx, dir, dtype);
  for (const std::string& warning : loaded.warnings) log.warn(warning);
  model.config = std::move(loaded.config);
  model.weights = std::move(loaded.weights);
  if (Tokenizer::exists(dir)) {
    model.tokenizer.emplace(dir);
    model.tokenizer->check_fits(model.config.vocab_size);
  }
  return model;
}

}  // namespace temper
