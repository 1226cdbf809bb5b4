// temper inspect sample: one sample token by token.
#include "cli/colour.h"
#include "cli/inspect.h"
#include "cli/inspect_tokens.h"
#include "core/error.h"
#include "core/json.h"
#include "model/config.h"

namespace temper {
namespace {

struct SampleOptions {
  InspectOptions inspect;
  int64_t id = 0;
  std::string model;
  bool prompt_tokens = false, experts = false;
  TokenColour colour_by = TokenColour::logprob;
  ColourMode colour = ColourMode::automatic;
};

struct OneSample {
  RunRow run;
  SampleRow sample;
  PromptRow prompt;
  std::vector<RewardRow> rewards;
};

OneSample find_sample(Database& db, const SampleOptions& options) {
  const std::optional<SampleRow> sample = read_sample(db, options.id);
  if (!sample) {
    const auto last = db.value<int64_t>("SELECT count(*) FROM samples");
    throw UserError(
        {.what = "no such sample",
         .where = db.path().string(),
         .expected = "the id of one of its " + std::to_string(last.value_or(0)) + " samples",
         .found = std::to_string(options.id),
         .hint = "temper inspect samples " + options.inspect.path + " shows ids"});
  }
  const std::optional<RunRow> run = read_run(db, sample->key.run_id);
  const std::optional<PromptRow> prompt = read_prompt(db, sample->prompt_id);
  require(run && prompt, "foreign keys hold");
  return {*run, *sample, *prompt, read_rewards(db, options.id)};
}

// The tokenizer of the folder the user names or the run started from; ids alone must do without.
std::optional<Tokenizer> find_tokenizer(Invocation& cli, const SampleOptions& options,
                                        const RunRow& run) {
  const std::string folder = options.model.empty() ? run.model : options.model;
  if (!options.model.empty() || Tokenizer::exists(folder)) return Tokenizer(folder);
  cli.log.info("no tokenizer in " + folder + ": ids only (--model names another folder)");
  return std::nullopt;
}

// How many experts a token meets in a layer, as the run's model says; 0: it is not there.
int64_t experts_per_layer(const RunRow& run, const SampleOptions& options) {
  const std::filesystem::path folder = options.model.empty() ? run.model : options.model;
  if (!options.experts || !std::filesystem::exists(folder / "config.json")) return 0;
  return read_model_config(folder).num_experts_per_tok;
}

std::string number(const std::optional<double>& value) {
  return json_value(value ? Cell(*value) : Cell());
}

std::string short_number(const std::optional<double>& value) {
  return cell_text(value ? Cell(*value) : Cell());
}

void write_json(std::ostream& out, const OneSample& one, const Table& tokens) {
  const SampleRow& s = one.sample;
  out << "{\"id\":" << s.id << ",\"run\":" << s.key.run_id << ",\"kind\":" << quote_json(s.key.kind)
      << ",\"step\":" << s.key.step << ",\"group_index\":" << s.group_index
      << ",\"sample_index\":" << s.sample_index << ",\"policy_version\":" << s.policy_version
      << ",\"reward\":" << number(s.reward) << ",\"advantage\":" << number(s.advantage)
      << ",\"max_logprob_difference\":" << number(s.max_logprob_difference)
      << ",\"finish_reason\":" << quote_json(s.finish_reason)
      << ",\"truncated\":" << (s.truncated ? "true" : "false")
      << ",\"zero_signal\":" << (s.zero_signal ? "true" : "false")
      << ",\"dropped\":" << (s.dropped ? quote_json(*s.dropped) : "null")
      << ",\"prompt_key\":" << json_value(one.prompt.key)
      << ",\"prompt\":" << json_value(one.prompt.text)
      << ",\"reference\":" << (one.prompt.reference ? json_value(*one.prompt.reference) : "null")
      << ",\"completion\":" << json_value(s.completion) << ",\n\"rewards\":";
  reward_table(one.rewards).write_json(out);
  out << ",\"tokens\":";
  tokens.write_json(out);
  out << "}\n";
}

void write_text(std::ostream& out, const OneSample& one, const Table& tokens,
                const std::string& completion, size_t width) {
  const SampleRow& s = one.sample;
  out << "sample " << s.id << ": run " << s.key.run_id << ", " << s.key.kind << " step "
      << s.key.step << ", group " << s.group_index << "." << s.sample_index << ", policy "
      << s.policy_version << ", " << s.ids.size() << " tokens, " << s.finish_reason << '\n'
      << "reward " << short_number(s.reward) << ", advantage " << short_number(s.advantage)
      << ", max |rollout - trainer| " << short_number(s.max_logprob_difference) << " nats";
  if (s.zero_signal) out << ", no signal in its group";
  if (s.dropped) out << ", dropped: " << visible_text(*s.dropped);
  out << "\n\nprompt " << visible_text(one.prompt.key) << " (" << one.prompt.ids.size()
      << " tokens)\n"
      << visible_text(one.prompt.text, true) << '\n';
  if (one.prompt.reference) out << "gold: " << visible_text(*one.prompt.reference) << '\n';
  out << "\ncompletion" << completion << "\n\n";
  if (!one.rewards.empty()) {
    reward_table(one.rewards).write_text(out, width);
    out << '\n';
  }
  tokens.write_text(out, width);
}

int show_sample(Invocation& cli, const SampleOptions& options) {
  Database db = open_for_reading(options.inspect.path);
  const OneSample one = find_sample(db, options);
  const std::optional<Tokenizer> tokenizer = find_tokenizer(cli, options, one.run);
  const TokensOf of{one.sample, one.prompt, tokenizer ? &*tokenizer : nullptr,
                    experts_per_layer(one.run, options)};
  if (options.experts && one.sample.experts.empty() && !one.sample.ids.empty())
    cli.log.info("no experts were recorded for this sample (--replay-routing)");
  const Table tokens = token_table(of, options.prompt_tokens, options.experts);
  if (options.inspect.json) {
    write_json(cli.out, one, tokens);
  } else {
    std::string completion = "\n" + visible_text(one.sample.completion, true);
    if (tokenizer && wants_colours(options.colour))
      completion =
          "  (" + legend_of(options.colour_by) + ")\n" + coloured_completion(of, options.colour_by);
    write_text(cli.out, one, tokens, completion, static_cast<size_t>(options.inspect.width));
  }
  return 0;
}

}  // namespace

void add_inspect_sample(Subcommands& list) {
  const auto options = std::make_shared<SampleOptions>();
  OptionsTable table = inspect_options(options->inspect, false);
  table.group("Selection");
  table.add("id", &options->id, "the sample's id").at_least(1).positional().required();
  table
      .add("model", &options->model,
           "folder whose tokenizer spells the tokens; else the run's own model folder")
      .value_name("DIR");
  table.add("prompt-tokens", &options->prompt_tokens, "the prompt's tokens as well");
  table.add("experts", &options->experts, "which experts each token went to, layer by layer");
  table.group("Colours");
  table.add_choice("colour-by", &options->colour_by,
                   {{"logprob", TokenColour::logprob},
                    {"advantage", TokenColour::advantage},
                    {"ratio", TokenColour::ratio},
                    {"entropy", TokenColour::entropy}},
                   "what shades a token of the completion: how unlikely it was when it was drawn, "
                   "its advantage, trainer against rollout, how open the choice was");
  add_colour_option(table, &options->colour);
  list.add({.name = "inspect sample",
            .about = "one sample token by token, with log-probabilities and verdicts",
            .examples = "  temper inspect sample RUN_DIR 812\n"
                        "  temper inspect sample RUN_DIR 812 --colour-by advantage\n"
                        "  temper inspect sample RUN_DIR 812 --prompt-tokens --experts --json",
            .options = std::move(table),
            .run = [options](Invocation& cli) { return show_sample(cli, *options); }});
}

}  // namespace temper
