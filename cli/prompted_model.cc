#include "cli/prompted_model.h"

#include <algorithm>

#include "cli/run_row.h"
#include "core/device.h"
#include "core/error.h"

namespace temper {
namespace {

// A prompt that fills the context would end a run at the step that draws it: better before.
void refuse_too_long(const std::vector<Prompt>& prompts, int64_t context) {
  for (const Prompt& prompt : prompts)
    if (static_cast<int64_t>(prompt.ids.size()) >= context)
      throw UserError({.what = "the prompt leaves no room for a completion in the model's context",
                       .where = prompt.id,
                       .expected = "fewer than " + std::to_string(context) + " tokens",
                       .found = std::to_string(prompt.ids.size()),
                       .hint = "leave such prompts out with --max-prompt-tokens"});
}

// Completions end where the context does, whatever --max-new-tokens allows.
void warn_of_context(const std::vector<Prompt>& prompts, int64_t context, int64_t max_new_tokens,
                     Logger& log) {
  int64_t short_of_room = 0, least = max_new_tokens;
  for (const Prompt& prompt : prompts) {
    const int64_t room = context - static_cast<int64_t>(prompt.ids.size());
    if (room >= max_new_tokens) continue;
    ++short_of_room;
    least = std::min(least, room);
  }
  if (short_of_room == 0) return;
  log.warn("--max-new-tokens " + std::to_string(max_new_tokens) + " is more than the model's " +
           "context of " + std::to_string(context) + " tokens leaves to " +
           std::to_string(short_of_room) + " of " + std::to_string(prompts.size()) +
           " prompts: their completions are cut at its end, the first after " +
           std::to_string(least) + " tokens");
}

PromptSourceOptions limited(PromptSourceOptions source, const SamplingOptions& sampling) {
  source.max_new_tokens = sampling.max_new_tokens;
  return source;
}

}  // namespace

void add_prompt_options(OptionsTable& table, PromptSourceOptions& o) {
  table.group("Input");
  table.add("model", &o.model, "model folder").value_name("DIR").required();
  table.add("data", &o.data, "rows with a prompt, and a gold where a reward needs one")
      .value_name("FILE")
      .required();
  table.add("limit", &o.limit, "read at most so many rows; 0: all").at_least(0);
  table.add("max-prompt-tokens", &o.max_prompt_tokens, "leave longer prompts out; 0: none")
      .at_least(0);
  table.add("system", &o.system, "system message for rows without one").value_name("TEXT");
  table.add("suffix", &o.suffix, "put behind each question as it stands: begin it with a space")
      .value_name("TEXT");
  table.add("template", &o.chat_template, "chat template; else the model's own").value_name("ID");
}

std::vector<int32_t> stop_ids_for(const ModelInUse& model, const ChatTemplate* chat) {
  std::vector<int32_t> ids;
  if (model.tokenizer) ids = stop_ids_of(*model.tokenizer, chat != nullptr ? chat->stop_id() : -1);
  for (const int64_t eos : model.config.eos_token_id) {
    const auto id = static_cast<int32_t>(eos);
    if (std::find(ids.begin(), ids.end(), id) == ids.end()) ids.push_back(id);
  }
  return ids;
}

PromptData read_prompt_data(const PromptSourceOptions& source, const ModelInUse& model,
                            const ChatTemplate& chat, Logger& log) {
  PromptData data =
      read_prompts({source.data.begin(), source.data.end()}, &model.need_tokenizer(), &chat,
                   {.system = source.system,
                    .suffix = source.suffix,
                    .max_tokens = source.max_prompt_tokens,
                    .vocab_size = model.config.vocab_size,
                    .limit = source.limit});
  refuse_too_long(data.prompts, model.config.max_position_embeddings);
  log.info(std::to_string(data.prompts.size()) + " prompts of " + std::to_string(data.rows) +
           " rows, chat template " + chat.id());
  if (data.too_long > 0) {
    log.warn(std::to_string(data.too_long) + " prompts left out: longer than " +
             std::to_string(source.max_prompt_tokens) + " tokens");
  }
  warn_of_context(data.prompts, model.config.max_position_embeddings, source.max_new_tokens, log);
  return data;
}

PromptedModel::PromptedModel(const PromptSourceOptions& source, const SamplingOptions& sampling,
                             Invocation& cli)
    : ctx(static_cast<int>(cli.common.threads), device_of(cli.common.device)),
      model(load_model_in_use(ctx, source.model, sampling.dtype, cli.log)),
      chat(ChatTemplate::choose(source.chat_template, model.need_tokenizer())),
      data(read_prompt_data(limited(source, sampling), model, chat, cli.log)),
      engine(ctx, model.weights.view, model.config, sampling.limits()) {}

SampleOptions PromptedModel::sample_options(const SamplingOptions& sampling,
                                            int64_t samples) const {
  check_stop_texts(sampling.stop);
  SampleOptions options{.samples = samples,
                        .max_new_tokens = sampling.max_new_tokens,
                        .sampling = sampling.params,
                        .seed = static_cast<uint64_t>(sampling.seed),
                        .stop_strings = sampling.stop};
  if (!sampling.ignore_eos) options.stop_ids = stop_ids_for(model, &chat);
  return options;
}

SamplingRun::SamplingRun(const std::string& out, const std::string& kind,
                         const PromptedModel& model, const PromptSourceOptions& source,
                         const SamplingOptions& sampling, Invocation& cli)
    : kind_(kind), store_(out), lock_(store_.database().path().parent_path() / kLockFile) {
  id_ = store_.begin_run(run_row(cli, {.kind = kind,
                                       .model = source.model,
                                       .data = source.data,
                                       .seed = sampling.seed,
                                       .dtype = sampling.dtype,
                                       .chat_template = model.chat.id()}));
}

SamplingRun::~SamplingRun() {
  if (finished_) return;
  try {
    store_.finish_run(id_, RunStatus::failed);
  } catch (const std::exception&) {
    // The error that brought us here is the one to report.
  }
}

void SamplingRun::finish(bool interrupted) {
  finished_ = true;
  store_.finish_run(id_, interrupted ? RunStatus::interrupted : RunStatus::done);
}

}  // namespace temper
