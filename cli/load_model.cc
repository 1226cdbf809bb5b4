#include "cli/load_model.h"

#include <cstdlib>
#include <functional>
#include <map>

#include "core/device.h"
#include "model/checkpoint/checksums.h"

namespace temper {
namespace {

// A run's checkpoint that is whole beside the damaged one `dir`; "" where there is none.
std::string whole_neighbour(const std::filesystem::path& dir) {
  namespace fs = std::filesystem;
  std::error_code ignored;
  const fs::path here = fs::canonical(dir, ignored), all = here.parent_path();
  if (all.filename() != "checkpoints") return "";
  std::map<int64_t, fs::path, std::greater<>> others;
  for (const auto& entry : fs::directory_iterator(all, ignored)) {
    const std::string name = entry.path().filename().string();
    if (entry.path() != here && name.starts_with("step-") && name.find('.') == std::string::npos)
      others[std::atoll(name.c_str() + 5)] = entry.path();
  }
  for (const auto& [step, folder] : others)
    if (fs::exists(folder / kChecksumFile) && damaged_files(folder, ChecksumScope::model).empty())
      return folder.string();
  return "";
}

// A model that Temper saved has the checksums of its files.
void refuse_damaged(const std::filesystem::path& dir) {
  std::string list;
  for (const std::string& line : damaged_files(dir, ChecksumScope::model)) list += "\n    " + line;
  if (list.empty()) return;
  const std::string other = whole_neighbour(dir);
  throw UserError(
      {.what = "the model folder is damaged",
       .where = dir.string(),
       .found = list,
       .hint = (other.empty() ? "bring" : "take " + other + ", which is whole, or bring") +
               " the files back as they were; if you changed them on purpose, remove " +
               std::string(kChecksumFile)});
}

}  // namespace

const Tokenizer& ModelInUse::need_tokenizer() const {
  if (!tokenizer)
    throw UserError({.what = "the model folder has no tokenizer.json",
                     .where = path.string(),
                     .hint = "copy tokenizer.json and tokenizer_config.json of the model there"});
  return *tokenizer;
}

ModelInUse in_use(const std::filesystem::path& dir, LoadedModel loaded, Logger& log) {
  ModelInUse model;
  model.path = dir;
  for (const std::string& warning : loaded.warnings) log.warn(warning);
  model.config = std::move(loaded.config);
  model.weights = std::move(loaded.weights);
  if (Tokenizer::exists(dir)) {
    model.tokenizer.emplace(dir);
    const std::string warning = model.tokenizer->check_fits(model.config.vocab_size);
    if (!warning.empty()) log.warn(warning);
  }
  return model;
}

ModelInUse load_model_in_use(Context& ctx, const std::filesystem::path& dir, DType dtype,
                             Logger& log) {
  check_arithmetic(ctx.device, dtype);
  refuse_damaged(dir);
  if (read_model_config(dir).num_labels > 0)
    throw UserError({.what = "a reward model writes no text",
                     .where = dir.string(),
                     .expected = "a language model",
                     .hint = "it judges: --reward \"rm(model=" + dir.string() + ")=1\""});
  return in_use(dir, load_model(ctx, dir, dtype), log);
}

}  // namespace temper
