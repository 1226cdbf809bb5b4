// temper score: log-probabilities of given tokens or text.
#include <cmath>
#include <cstdio>
#include <memory>

#include "cli/jsonl.h"
#include "cli/load_model.h"
#include "cli/subcommands.h"
#include "core/device.h"
#include "core/error.h"
#include "core/progress.h"
#include "rollout/sampling_params.h"
#include "rollout/score.h"

namespace temper {
namespace {

constexpr const char *kIds = "{\"ids\":[...]}", *kText = "{\"text\":...}";

struct ScoreCommand {
  std::string model, ids, file, text;
  std::string out = "-";
  double temperature = 1.0;
  int64_t batch_tokens = 2048;
  DType dtype = DType::f32;
};

OptionsTable score_options(ScoreCommand& o) {
  OptionsTable table;
  table.group("Input");
  table.add("model", &o.model, "model folder").value_name("DIR").required();
  table.add("ids", &o.ids, "rows of {\"ids\":[...]}").value_name("FILE");
  table.add("file", &o.file, "rows of {\"text\":...}").value_name("FILE");
  table.add("text", &o.text, "one text").value_name("TEXT");
  table.group("Output");
  table.add("out", &o.out, "rows of {\"ids\",\"logprobs\"}; -: stdout").value_name("FILE");
  table.group("Computation");
  table.add("temperature", &o.temperature, "logits are divided by it").at_least(kLeastTemperature);
  table.add("batch-tokens", &o.batch_tokens, "of a forward pass").unit("tokens").at_least(1);
  table.add_choice(
      "dtype", &o.dtype,
      {{"f32", DType::f32}, {"f64", DType::f64}, {"bf16", DType::bf16}, {"f16", DType::f16}},
      "arithmetic; f64 on the CPU alone, bf16 (the default there) and f16 on the GPU alone");
  return table;
}

std::vector<int32_t> ids_of(const JsonRow& row, int64_t vocab_size) {
  const JsonValue* list = find_member(row.json, "ids");
  if (list == nullptr || !list->IsArray() || list->Empty()) {
    throw UserError({.what = "a row has no ids", .where = row.where, .expected = kIds});
  }
  std::vector<int32_t> ids;
  for (const JsonValue& id : list->GetArray()) {
    if (!id.IsInt() || id.GetInt() < 0 || id.GetInt() >= vocab_size) {
      throw UserError({.what = "not a token id of the model",
                       .where = row.where,
                       .expected = "0 to " + std::to_string(vocab_size - 1),
                       .found = to_text(id)});
    }
    ids.push_back(id.GetInt());
  }
  return ids;
}

std::vector<std::vector<int32_t>> read_sequences(const ScoreCommand& o, const ModelInUse& model) {
  if ((!o.ids.empty()) + (!o.file.empty()) + (!o.text.empty()) != 1) {
    throw UserError({.what = "nothing to score, or more than one thing",
                     .expected = "one of --ids, --file, --text"});
  }
  std::vector<std::vector<int32_t>> sequences;
  const auto encode = [&](const std::string& text) {
    sequences.push_back(model.need_tokenizer().encode(text, {.add_special = true}));
  };
  if (!o.text.empty()) {
    encode(o.text);
  } else if (!o.ids.empty()) {
    for (const JsonRow& row : read_json_rows(o.ids, kIds)) {
      sequences.push_back(ids_of(row, model.config.vocab_size));
    }
  } else {
    for (const JsonRow& row : read_json_rows(o.file, kText)) {
      const JsonValue* text = find_member(row.json, "text");
      if (text == nullptr || !text->IsString()) {
        throw UserError({.what = "a row has no text", .where = row.where, .expected = kText});
      }
      encode({text->GetString(), text->GetStringLength()});
    }
  }
  return sequences;
}

// {"ids":[...],"logprobs":[null,...]}
void append_row(std::string& out, const std::vector<int32_t>& ids,
                const std::vector<double>& logprobs, DType dtype) {
  out += "{\"ids\":[";
  for (size_t t = 0; t < ids.size(); ++t) out += (t > 0 ? "," : "") + std::to_string(ids[t]);
  out += "],\"logprobs\":[";
  for (size_t t = 0; t < ids.size(); ++t) {
    if (t > 0) out += ",";
    out += t == 0                ? "null"
           : dtype == DType::f64 ? option_text(logprobs[t])
                                 : option_text(static_cast<float>(logprobs[t]));
  }
  out += "]}\n";
}

int run_score(const ScoreCommand& o, Invocation& cli) {
  Context ctx(static_cast<int>(cli.common.threads), device_of(cli.common.device));
  const ModelInUse model = load_model_in_use(ctx, o.model, o.dtype, cli.log);
  const std::vector<std::vector<int32_t>> sequences = read_sequences(o, model);
  int64_t tokens = 0, scored = 0;
  for (const auto& ids : sequences) tokens += static_cast<int64_t>(ids.size());
  Progress progress(cli.log, {.label = "score", .total = tokens, .unit = "token"});
  const auto logprobs = score_sequences(
      ctx, model.weights.view, model.config, sequences,
      {.temperature = o.temperature, .batch_tokens = o.batch_tokens, .on_batch = [&](int64_t done) {
         progress.update(done, {}, done);
       }});
  progress.finish();
  std::string text;
  double sum = 0.0;
  for (size_t s = 0; s < sequences.size(); ++s) {
    append_row(text, sequences[s], logprobs[s], o.dtype);
    for (size_t t = 1; t < sequences[s].size(); ++t, ++scored) sum += logprobs[s][t];
  }
  write_result(o.out, text, cli.out);
  if (scored > 0) {
    char line[160];
    const double nll = -sum / static_cast<double>(scored);
    std::snprintf(line, sizeof line,
                  "%zu sequences, %lld tokens: %.4f nats a token, perplexity %.2f",
                  sequences.size(), static_cast<long long>(tokens), nll, std::exp(nll));
    cli.log.info(line);
  }
  return 0;
}

}  // namespace

void add_score(Subcommands& list) {
  auto o = std::make_shared<ScoreCommand>();
  list.add({.name = "score",
            .about = "log-probabilities of given ids or text, in nats",
            .examples = "  temper score --model DIR --ids rows.jsonl --out scores.jsonl\n"
                        "  temper score --model DIR --text \"Once upon a time\"\n",
            .options = score_options(*o),
            .run = [o](Invocation& cli) { return run_score(*o, cli); }});
}

}  // namespace temper
