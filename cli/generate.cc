// temper generate: one prompt, one conversation or a chat, streamed as it is written.
#include <algorithm>
#include <cstdio>
#include <iostream>
#include <memory>

#include "cli/prompted_model.h"
#include "cli/subcommands.h"
#include "core/device.h"
#include "core/error.h"
#include "core/file.h"
#include "core/json.h"
#include "data/chat_template.h"
#include "data/prompts.h"
#include "rollout/options.h"
#include "rollout/sample_prompts.h"
#include "rollout/stop_watch.h"

namespace temper {
namespace {

struct GenerateOptions {
  std::string model, prompt, messages, system, chat_template;
  std::vector<int64_t> ids;
  bool chat = false, raw = false, print_ids = false;
  SamplingOptions sampling = {.params = {.temperature = 0.6, .top_p = 0.95}};
};

OptionsTable generate_options(GenerateOptions& o) {
  OptionsTable table;
  table.group("Input");
  table.add("model", &o.model, "model folder").value_name("DIR").required();
  table.add("prompt", &o.prompt, "what the user says").value_name("TEXT").positional();
  table.add("messages", &o.messages, "a conversation: {\"messages\":[...]}").value_name("FILE");
  table.add("ids", &o.ids, "the prompt as token ids").value_name("1,2,3").comma_separated();
  table.add("chat", &o.chat, "talk: a line of input is a turn, an empty one ends it");
  table.add("raw", &o.raw, "continue --prompt as it stands, without a chat template");
  table.add("system", &o.system, "system message").value_name("TEXT");
  table.add("template", &o.chat_template, "chat template; else the model's own").value_name("ID");
  table.group("Output");
  table.add("print-ids", &o.print_ids, "print the new token ids on the last line");
  add_sampling_options(table, o.sampling);
  return table;
}

// A loaded model that answers prompts one at a time.
class Generator {
 public:
  Generator(const GenerateOptions& options, Invocation& cli)
      : o_(options),
        cli_(cli),
        ctx_(static_cast<int>(cli.common.threads), device_of(cli.common.device)),
        model_(load_model_in_use(ctx_, options.model, options.sampling.dtype, cli.log)),
        engine_(ctx_, model_.weights.view, model_.config, options.sampling.limits()) {
    check_stop_texts(options.sampling.stop);
    if (model_.tokenizer && options.ids.empty() && !options.raw) {
      chat_.emplace(ChatTemplate::choose(options.chat_template, *model_.tokenizer));
    }
    if (options.sampling.ignore_eos) return;
    stop_ids_ = stop_ids_for(model_, chat_ ? &*chat_ : nullptr);
  }

  std::vector<int32_t> encode(const std::string& text) const {
    return model_.need_tokenizer().encode(text, {.add_special = true});
  }
  std::vector<int32_t> encode(const Conversation& messages) const {
    const std::string text =
        join_segments(chat_->render(messages, {.add_generation_prompt = true}));
    return model_.need_tokenizer().encode(text);
  }

  // Streams the answer to `prompt`; returns its text.
  std::string answer(const std::vector<int32_t>& prompt, uint32_t turn);
  const ModelInUse& model() const { return model_; }

 private:
  void report(const RolloutStats& stats, const SampleResult& sample) const;

  const GenerateOptions& o_;
  Invocation& cli_;
  Context ctx_;
  ModelInUse model_;
  RolloutEngine engine_;
  std::optional<ChatTemplate> chat_;
  std::vector<int32_t> stop_ids_;
};

std::string Generator::answer(const std::vector<int32_t>& prompt, uint32_t turn) {
  RolloutRequest request;
  request.prompt = prompt;
  const int64_t room = engine_.max_length() - static_cast<int64_t>(prompt.size());
  request.max_new_tokens = std::max<int64_t>(1, std::min(o_.sampling.max_new_tokens, room));
  request.sampling = o_.sampling.params;
  request.stop_ids = stop_ids_;
  request.key = {.seed = static_cast<uint64_t>(o_.sampling.seed), .prompt = turn};
  std::optional<StopWatch> watch;
  if (model_.tokenizer)
    watch.emplace(*model_.tokenizer, o_.sampling.stop, StopWatch::Special::hidden);
  RolloutCallbacks callbacks{.interrupt = &cli_.interrupt};
  callbacks.on_token = [&](const TokenEvent& event) {
    const int32_t id = event.result.ids.back();
    if (!watch || std::find(stop_ids_.begin(), stop_ids_.end(), id) != stop_ids_.end()) return true;
    const bool stop = watch->push(id);
    cli_.out << watch->take() << std::flush;
    return !stop;
  };
  const RolloutOutput output = engine_.run({&request, 1}, callbacks);
  const SampleResult& sample = output.samples[0][0];
  if (watch) {
    watch->finish();
    cli_.out << watch->take() << "\n";
  }
  if (o_.print_ids) {
    for (size_t i = 0; i < sample.ids.size(); ++i) cli_.out << (i > 0 ? "," : "") << sample.ids[i];
    cli_.out << "\n";
  }
  cli_.out << std::flush;
  report(output.stats, sample);
  return watch ? watch->text() : "";
}

void Generator::report(const RolloutStats& stats, const SampleResult& sample) const {
  char text[160];
  std::snprintf(text, sizeof text, "%lld prompt and %lld new tokens, %.1f tokens/s, ended by %s",
                static_cast<long long>(stats.prompt_tokens),
                static_cast<long long>(stats.generated_tokens), stats.generated_per_second(),
                std::string(name_of(sample.finish)).c_str());
  cli_.log.info(text);
}

Conversation start_of(const GenerateOptions& o) {
  if (o.system.empty()) return {};
  return {{.role = "system", .content = o.system}};
}

int talk(const GenerateOptions& o, Invocation& cli, Generator& generator) {
  Conversation messages = start_of(o);
  std::string said = o.prompt;
  for (uint32_t turn = 0; !cli.interrupt.requested(); ++turn) {
    if (said.empty()) {
      cli.out << "> " << std::flush;
      if (!std::getline(std::cin, said) || said.empty()) break;
    }
    messages.push_back({.role = "user", .content = said});
    const std::string text = generator.answer(generator.encode(messages), turn);
    messages.push_back({.role = "assistant", .content = text});
    said.clear();
  }
  return 0;
}

int run_generate(const GenerateOptions& o, Invocation& cli) {
  const int inputs = !o.ids.empty() + !o.messages.empty() + (!o.prompt.empty() && !o.chat) + o.chat;
  if (inputs != 1) {
    throw UserError({.what = inputs == 0 ? "no prompt" : "more than one prompt",
                     .expected = "one of --prompt, --messages, --ids, --chat"});
  }
  Generator generator(o, cli);
  if (o.chat) return talk(o, cli, generator);
  std::vector<int32_t> prompt(o.ids.begin(), o.ids.end());
  if (!o.messages.empty()) {
    const Json row = parse_json(read_file(o.messages), o.messages);
    const Tokenizer& tokenizer = generator.model().need_tokenizer();
    const ChatTemplate chat = ChatTemplate::choose(o.chat_template, tokenizer);
    prompt = read_prompt(row, o.messages, &tokenizer, &chat, {.system = o.system}).ids;
  } else if (o.raw) {
    prompt = generator.encode(o.prompt);
  } else if (!o.prompt.empty()) {
    Conversation messages = start_of(o);
    messages.push_back({.role = "user", .content = o.prompt});
    generator.model().need_tokenizer();
    prompt = generator.encode(messages);
  }
  generator.answer(prompt, 0);
  return 0;
}

}  // namespace

void add_generate(Subcommands& list) {
  auto o = std::make_shared<GenerateOptions>();
  list.add({.name = "generate",
            .about = "answer one prompt, or chat, streaming the text",
            .examples = "  temper generate --model DIR \"Why is the sky blue?\"\n"
                        "  temper generate --model DIR --chat\n"
                        "  temper generate --model DIR --ids 1,2,3 --temperature 0 --print-ids\n",
            .options = generate_options(*o),
            .run = [o](Invocation& cli) { return run_generate(*o, cli); }});
}

}  // namespace temper
