// temper model convert: other formats in, Hugging Face folders out.
#include <filesystem>
#include <memory>

#include "cli/subcommands.h"
#include "core/error.h"
#include "model/checkpoint/import.h"

namespace temper {
namespace {

namespace fs = std::filesystem;

struct ConvertOptions {
  std::string in, out, tokenizer;
  StoredAs dtype = StoredAs::f32;
  double shard_gigabytes = 5;
};

OptionsTable convert_table(ConvertOptions& o) {
  OptionsTable table;
  table.group("Input");
  table
      .add("in", &o.in,
           "a GGUF file (llama architecture), a llama2.c .bin file, or a Hugging Face folder")
      .value_name("PATH")
      .required();
  table
      .add("tokenizer", &o.tokenizer,
           "tokenizer file of a llama2.c model; default: tok<size>.bin or tokenizer.bin beside it")
      .value_name("FILE");
  table.group("Output");
  table.add("out", &o.out, "folder to write; one that exists is replaced")
      .value_name("DIR")
      .required();
  table.add_choice(
      "dtype", &o.dtype, {{"f32", StoredAs::f32}, {"bf16", StoredAs::bf16}, {"fp8", StoredAs::fp8}},
      "how to store the weights: f32 loses nothing, bf16 halves the size, fp8 is V3's form");
  table.add("shard-size", &o.shard_gigabytes, "largest safetensors file")
      .range(0.001, 1000)
      .unit("GB");
  return table;
}

// A folder that holds something other than a model is never replaced.
void check_target(const fs::path& in, const fs::path& out) {
  if (fs::exists(out) && !fs::is_directory(out))
    throw UserError({.what = "--out names a file", .where = out.string()});
  if (fs::exists(out) && !fs::is_empty(out) && !fs::exists(out / "config.json"))
    throw UserError({.what = "--out is a folder with other things in it",
                     .where = out.string(),
                     .expected = "a new folder, or a model folder to replace",
                     .hint = "name a folder that does not exist yet"});
  if (!fs::exists(in)) throw UserError({.what = "no such file or folder", .where = in.string()});
}

int convert(const ConvertOptions& o, Invocation& cli) {
  const fs::path in = o.in, out = o.out;
  check_target(in, out);
  Context ctx(static_cast<int>(cli.common.threads));
  SaveOptions save{.stored_as = o.dtype,
                   .max_shard_bytes = static_cast<int64_t>(o.shard_gigabytes * 1e9)};
  ParameterCount count;
  if (fs::is_directory(in)) {
    std::vector<std::string> warnings;
    save.tokenizer_from = in;
    count = count_parameters(rewrite_model(in, out, save, &warnings));
    for (const std::string& warning : warnings) cli.log.warn(warning);
  } else {
    ImportedModel model = is_gguf(in) ? import_gguf(ctx, in) : import_llama2c(ctx, in, o.tokenizer);
    save_imported(model, out, save);
    count = count_parameters(model.config);
  }
  cli.log.info("wrote " + out.string() + ": " + std::to_string(count.total) + " parameters");
  return 0;
}

}  // namespace

void add_model_convert(Subcommands& list) {
  auto o = std::make_shared<ConvertOptions>();
  list.add({.name = "model convert",
            .about = "GGUF, llama2.c or Hugging Face in, a Hugging Face folder out",
            .examples = "  temper model convert --in model.gguf --out model --dtype f32\n"
                        "  temper model convert --in DeepSeek-V3 --out DeepSeek-V3-bf16",
            .options = convert_table(*o),
            .run = [o](Invocation& cli) { return convert(*o, cli); }});
}

}  // namespace temper
