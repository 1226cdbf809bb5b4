// temper reward: score answers with a rule, audit a rule on golds, list the rules.
#include <algorithm>
#include <cmath>
#include <memory>

#include "cli/jsonl.h"
#include "cli/replay_reward.h"
#include "cli/reward_rules.h"
#include "cli/subcommands.h"
#include "core/error.h"
#include "core/stopwatch.h"
#include "model/training/training_options.h"
#include "reward/audit.h"
#include "reward/tally.h"

namespace temper {
namespace {

constexpr const char* kExample = "{\"gold\":...,\"completion\":...}";

struct RewardCommand {
  std::string reward, data;
  RescoreOptions rescore;  // of the samples of a run, in place of rows
  DType dtype = DType::f32;
  std::string out = "-";
  std::string gold_field, completion_field;
  std::string wrapping = "<think>audit</think><answer>{}</answer>";
};

OptionsTable shared_table(RewardCommand& o) {
  OptionsTable table;
  table.group("Input");
  table.add("reward", &o.reward, "rules and weights: math=1,format=0.2").value_name("SPEC");
  table.add("rule", &o.reward, "the same as --reward, for a single rule").value_name("RULE");
  table.add("data", &o.data, "rows with a gold").value_name("FILE");
  table.add("gold-field", &o.gold_field, "field of the gold; else gold or answer");
  add_dtype_option(table, &o.dtype);
  return table;
}

CompositeReward make_reward(const RewardCommand& o, const RewardRules& rules) {
  if (o.reward.empty()) {
    throw UserError({.what = "no rule to score with",
                     .where = "--reward",
                     .expected = "for instance math or math=1,format=0.2",
                     .found = {},
                     .hint = "temper reward list shows the rules"});
  }
  return rules.reward(o.reward, "--reward");
}

// The text of the first of `fields` that the row has; numbers as they are written.
std::string field_text(const JsonRow& row, const std::vector<std::string>& fields, bool required) {
  for (const std::string& field : fields) {
    const JsonValue* value = field.empty() ? nullptr : find_member(row.json, field.c_str());
    if (value == nullptr) continue;
    return value_text(*value);
  }
  if (!required) return "";
  std::string names;
  for (const std::string& field : fields) {
    if (!field.empty()) names += (names.empty() ? "'" : ", '") + field + "'";
  }
  throw UserError({.what = "a row lacks a field",
                   .where = row.where,
                   .expected = "one of " + names,
                   .found = {},
                   .hint = "name the field with --completion-field"});
}

// The tokens of the completion where the row knows them: a count, or the list of their ids.
int64_t tokens_of(const JsonRow& row) {
  const JsonValue* tokens = find_member(row.json, "tokens");
  if (tokens != nullptr && tokens->IsInt64()) return tokens->GetInt64();
  const JsonValue* ids = find_member(row.json, "ids");
  return ids != nullptr && ids->IsArray() ? static_cast<int64_t>(ids->Size()) : -1;
}

std::vector<std::string> gold_fields(const RewardCommand& o) {
  if (!o.gold_field.empty()) return {o.gold_field};
  return {"gold", "answer"};
}

int run_score(const RewardCommand& o, Invocation& cli) {
  RewardRules rules(cli, o.dtype, false);
  const CompositeReward reward = make_reward(o, rules);
  if (o.data.empty() == o.rescore.db.empty()) {
    throw UserError({.what = "what is to be judged?",
                     .where = "temper reward score",
                     .expected = "--data FILE.jsonl or --db RUN_DIR",
                     .found = o.data.empty() ? "neither" : "both",
                     .hint = {}});
  }
  if (!o.rescore.db.empty()) {
    RescoreOptions rescore = o.rescore;
    if (o.out != "-") rescore.out = o.out;
    return rescore_database(rescore, reward, cli);
  }
  if (o.rescore.run != 0 || o.rescore.json || o.rescore.write) {
    throw UserError({.what = "--run, --json and --write are for the samples of a run",
                     .where = "temper reward score",
                     .expected = "--db RUN_DIR",
                     .found = "--data " + o.data,
                     .hint = {}});
  }
  const std::vector<JsonRow> rows = read_json_rows(o.data, kExample);
  std::vector<std::string> fields = {o.completion_field};
  if (o.completion_field.empty()) fields = {"completion", "pred", "prediction", "response"};
  std::vector<std::string> golds, completions, prompts;
  for (const JsonRow& row : rows) {
    golds.push_back(field_text(row, gold_fields(o), false));
    completions.push_back(field_text(row, fields, true));
    prompts.push_back(field_text(row, {"prompt", "question", "problem"}, false));
  }
  std::vector<RewardInput> inputs;
  for (size_t i = 0; i < rows.size(); ++i) {
    inputs.push_back({.prompt = prompts[i],
                      .completion = completions[i],
                      .gold = golds[i],
                      .row = &rows[i].json,
                      .completion_tokens = tokens_of(rows[i])});
  }
  ThreadPool pool(static_cast<int>(cli.common.threads));
  const Stopwatch stopwatch;
  const std::vector<RewardResult> results = score_all(pool, reward, inputs);
  const double took = stopwatch.seconds();
  RewardTally tally(reward);
  std::string text;
  for (const RewardResult& result : results) {
    tally.add(result);
    text += result_json(reward, result) + "\n";
  }
  write_result(o.out, text, cli.out);
  for (const RewardMessage& message : reward.take_messages()) {
    cli.log.warn(message.component + ": " + message.text);
  }
  cli.log.info(tally.report() + std::to_string(results.size()) + " samples in " +
               option_text(std::round(took * 1e4) / 1e4) + " s");
  return 0;
}

// The right answer that the audit gives: the gold, or the first of several.
std::string right_answer(const JsonRow& row, const std::vector<std::string>& fields) {
  for (const std::string& field : fields) {
    const JsonValue* value = find_member(row.json, field.c_str());
    if (value == nullptr || !value->IsArray() || value->Empty()) continue;
    return value_text((*value)[0]);
  }
  return field_text(row, fields, false);
}

int run_audit(const RewardCommand& o, Invocation& cli) {
  RewardRules rules(cli, o.dtype, false);
  const CompositeReward reward = make_reward(o, rules);
  if (o.data.empty()) {
    throw UserError({.what = "no rows to audit the rule on", .where = "--data"});
  }
  const std::vector<JsonRow> rows = read_json_rows(o.data, kExample);
  std::vector<AuditRow> audited;
  for (const JsonRow& row : rows) {
    audited.push_back({field_text(row, {"prompt", "question", "problem"}, false),
                       right_answer(row, gold_fields(o)), &row.json});
  }
  const bool no_gold = std::all_of(audited.begin(), audited.end(),
                                   [](const AuditRow& row) { return row.gold.empty(); });
  if (no_gold) {
    cli.log.warn(
        "no row has a gold, so that the first line says nothing: name its field with "
        "--gold-field");
  }
  ThreadPool pool(static_cast<int>(cli.common.threads));
  cli.out << audit_report(audit_reward(pool, reward, audited, o.wrapping));
  return 0;
}

int run_list(Invocation& cli) {
  const RewardRules rules(cli, DType::f32, false);
  for (const RuleInfo& rule : rules.registry().rules()) {
    cli.out << rule.name << "\n    " << rule.summary << "\n";
    for (const RuleParameterInfo& p : rule.parameters) {
      cli.out << "    " << p.name << "=" << p.fallback << "  " << p.help;
      std::string choices;
      for (const std::string& c : p.choices) choices += (choices.empty() ? "" : ", ") + c;
      cli.out << (choices.empty() ? "" : " (" + choices + ")") << "\n";
    }
  }
  return 0;
}

}  // namespace

void add_reward(Subcommands& list) {
  const auto score = std::make_shared<RewardCommand>();
  OptionsTable score_table = shared_table(*score);
  score_table.add("completion-field", &score->completion_field,
                  "field of the answer; else completion, pred, prediction or response");
  score_table
      .add("db", &score->rescore.db,
           "in place of --data: the samples of this run directory or run.db, as temper replay "
           "reward judges them")
      .value_name("RUN_DIR");
  score_table.group("Output");
  add_rescore_options(score_table, &score->rescore);
  score_table
      .add("out", &score->out, "verdicts, a row each; -: the standard output, and none with --db")
      .value_name("FILE");
  list.add({.name = "reward score",
            .about = "judge the completions of a file, or again those of a run, with a rule",
            .examples =
                "  temper reward score --rule math --data answers.jsonl --out verdicts.jsonl\n"
                "  temper reward score --reward math=1,format=0.2 --data answers.jsonl\n"
                "  temper reward score --reward math=1,format=0.2 --db runs/grpo\n",
            .options = std::move(score_table),
            .run = [score](Invocation& cli) { return run_score(*score, cli); }});
  const auto audit = std::make_shared<RewardCommand>();
  OptionsTable audit_table = shared_table(*audit);
  audit_table.add("wrapping", &audit->wrapping, "completion around an answer; {} is the answer");
  list.add({.name = "reward audit",
            .about = "what a rule gives to the golds themselves and to a hacker's answers",
            .examples = "  temper reward audit --rule math --data test.jsonl\n",
            .options = std::move(audit_table),
            .run = [audit](Invocation& cli) { return run_audit(*audit, cli); }});
  list.add({.name = "reward list",
            .about = "the rules and their parameters",
            .run = [](Invocation& cli) { return run_list(cli); }});
}

}  // namespace temper
