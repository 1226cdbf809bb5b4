// temper inspect samples: the best, worst, longest, truncated, ... samples with their text.
#include "cli/inspect.h"
#include "core/did_you_mean.h"
#include "core/error.h"

namespace temper {
namespace {

struct SamplesOptions {
  InspectOptions inspect;
  int64_t best = 0, worst = 0, longest = 0, count = 5;
  int64_t step = -1;
  std::string kind, rule, status;
  bool truncated = false, zero_signal = false, dropped = false, disagreeing = false;
  bool without_gold = false;
  bool full = false;
};

// Terms of ORDER BY, for the choice among the index's rows and for the rows themselves.
struct Order {
  std::string sql;
  int64_t count;
};

Order chosen_order(const SamplesOptions& options) {
  const int chosen = (options.best > 0) + (options.worst > 0) + (options.longest > 0);
  if (chosen > 1) {
    throw UserError({.what = "only one of --best, --worst and --longest makes an order",
                     .where = "inspect samples"});
  }
  if (options.best > 0) return {"s.reward IS NULL, s.reward DESC, s.id", options.best};
  if (options.worst > 0) return {"s.reward IS NULL, s.reward, s.id", options.worst};
  if (options.longest > 0) return {"s.tokens DESC, s.id", options.longest};
  return {"s.kind, s.step, s.group_index, s.sample_index", options.count};
}

// A gold as it may stand in a text: what follows #### of GSM8K's, without marks of thousands.
constexpr const char* kGoldInText =
    "instr(lower(replace(c.completion, ',', '')), lower(trim(replace(CASE"
    " WHEN instr(p.reference, '####') > 0 THEN substr(p.reference, instr(p.reference, '####') + 4)"
    " ELSE p.reference END, ',', ''))))";

// Chooses on the index samples_at_a_glance, and reads the texts of the chosen ones alone.
std::string query_of(const Order& order) {
  return "SELECT s.id, s.kind, s.step, s.group_index, s.sample_index, s.reward, s.advantage,"
         " s.tokens, s.finish_reason, s.truncated, s.zero_signal, s.dropped, p.key AS prompt_key,"
         " p.reference, p.text AS prompt, s.completion"
         " FROM (SELECT s.id FROM samples s INDEXED BY samples_at_a_glance"
         " WHERE s.run_id = ?1 AND (?2 = '' OR s.kind = ?2)"
         " AND (?3 < 0 OR s.step = ?3) AND (NOT ?4 OR s.truncated) AND (NOT ?5 OR s.zero_signal)"
         " AND (NOT ?6 OR s.dropped IS NOT NULL)"
         " AND ((?7 = '' AND ?8 = '') OR EXISTS (SELECT 1 FROM rewards r WHERE r.sample_id = s.id"
         "      AND (?7 = '' OR r.rule = ?7) AND (?8 = '' OR r.status = ?8)))"
         // --disagreeing: with --rule, that rule against any other.
         " AND (NOT ?9 OR EXISTS (SELECT 1 FROM rewards a, rewards b WHERE a.sample_id = s.id"
         "      AND b.sample_id = s.id AND a.status = 'ok' AND b.status = 'wrong'"
         "      AND ?7 IN ('', a.rule, b.rule)))"
         " AND (NOT ?11 OR (EXISTS (SELECT 1 FROM rewards r WHERE r.sample_id = s.id"
         "      AND r.rule <> 'format' AND r.status = 'ok' AND r.value >= 1)"
         "      AND EXISTS (SELECT 1 FROM samples c JOIN prompts p ON p.id = c.prompt_id"
         "        WHERE c.id = s.id AND p.reference <> '' AND " +
         std::string(kGoldInText) + " = 0))) ORDER BY " + order.sql +
         " LIMIT ?10) k JOIN samples s ON s.id = k.id JOIN prompts p ON p.id = s.prompt_id"
         " ORDER BY " +
         order.sql;
}

Table find_samples(Database& db, const SamplesOptions& options, int64_t run) {
  const Order order = chosen_order(options);
  return query_table(db, query_of(order), run, options.kind, options.step, options.truncated,
                     options.zero_signal, options.dropped, options.rule, options.status,
                     options.disagreeing, order.count, options.without_gold);
}

void write_verdicts(std::ostream& out, Database& db, int64_t sample) {
  for (const RewardRow& reward : read_rewards(db, sample)) {
    out << "  " << reward.rule << ": " << reward.status << ", "
        << (reward.value ? option_text(*reward.value) : "no value") << " x "
        << option_text(reward.weight) << (reward.counted ? "" : " (gate closed: not counted)");
    if (reward.extracted) out << ", answer " << visible_text(*reward.extracted);
    if (reward.reason) out << " (" << visible_text(*reward.reason) << ")";
    out << '\n';
  }
}

void write_sample(std::ostream& out, Database& db, const std::vector<Cell>& row, bool full) {
  out << "sample " << cell_text(row[0]) << "  " << text_of(row[1]) << " step " << cell_text(row[2])
      << ", group " << cell_text(row[3]) << "." << cell_text(row[4]) << "  reward "
      << cell_text(row[5]) << "  advantage " << cell_text(row[6]) << "  " << cell_text(row[7])
      << " tokens, " << text_of(row[8]);
  if (std::get<int64_t>(row[10]) != 0) out << ", no signal in its group";
  if (!text_of(row[11]).empty()) out << ", dropped: " << text_of(row[11]);
  out << '\n';
  write_verdicts(out, db, std::get<int64_t>(row[0]));
  write_passage(out, "prompt " + visible_text(text_of(row[12])), text_of(row[14]), full);
  if (!text_of(row[13]).empty()) out << "  gold: " << visible_text(text_of(row[13])) << '\n';
  write_passage(out, "completion", text_of(row[15]), full);
}

void write_json(std::ostream& out, Database& db, const Table& table) {
  out << '[';
  for (size_t i = 0; i < table.rows().size(); ++i) {
    out << (i == 0 ? "\n{" : ",\n{") << table.json_members(i) << ",\"rewards\":";
    reward_table(read_rewards(db, std::get<int64_t>(table.rows()[i][0]))).write_json(out);
    out << '}';
  }
  out << "]\n";
}

// Throws UserError if `column` of the run's verdicts is never `value`: a slip would find nothing.
void check_known(Database& db, const std::string& column, const std::string& value, int64_t run) {
  if (value.empty()) return;
  std::vector<std::string> known;
  db.for_each_row(
      "SELECT DISTINCT r." + column +
          " FROM rewards r JOIN samples s ON s.id = r.sample_id WHERE s.run_id = ?"
          " ORDER BY 1",
      [&](const Statement& row) { known.push_back(row.get<std::string>(0)); }, run);
  std::string list;
  for (const std::string& name : known) {
    if (name == value) return;
    list += (list.empty() ? "" : ", ") + name;
  }
  throw UserError({.what = "no sample of the run has such a verdict",
                   .where = "--" + column + " " + value,
                   .expected = list.empty() ? "a run with rewards" : "one of " + list,
                   .hint = did_you_mean(value, known)});
}

int show_samples(Invocation& cli, const SamplesOptions& options) {
  Database db = open_for_reading(options.inspect.path);
  const RunRow run = inspected_run(db, options.inspect);
  const Table table = find_samples(db, options, run.id);
  if (table.rows().empty()) {
    check_known(db, "rule", options.rule, run.id);
    check_known(db, "status", options.status, run.id);
    write_table(cli, options.inspect, table, "no such sample");
    return 0;
  }
  if (options.inspect.json) {
    write_json(cli.out, db, table);
    return 0;
  }
  for (size_t i = 0; i < table.rows().size(); ++i) {
    if (i > 0) cli.out << '\n';
    write_sample(cli.out, db, table.rows()[i], options.full);
  }
  return 0;
}

OptionsTable samples_table(SamplesOptions& o) {
  OptionsTable table = inspect_options(o.inspect);
  table.group("Order");
  table.add("best", &o.best, "the N with the highest reward").at_least(0);
  table.add("worst", &o.worst, "the N with the lowest reward").at_least(0);
  table.add("longest", &o.longest, "the N with the most tokens").at_least(0);
  table.add("count", &o.count, "how many, if none of these is given: the first N").at_least(1);
  table.group("Selection");
  table.add("step", &o.step, "only this step; -1 takes all").at_least(-1);
  table.add("kind", &o.kind, "only steps of this kind: grpo, rollout, eval");
  table.add("truncated", &o.truncated, "only those cut off at the length limit");
  table.add("zero-signal", &o.zero_signal, "only those whose group had equal rewards");
  table.add("dropped", &o.dropped, "only those the optimiser did not use");
  table.add("disagreeing", &o.disagreeing, "only those that one rule called ok, another wrong");
  table.add("gold-not-in-text", &o.without_gold,
            "only those that a rule called right although the gold does not occur in their text");
  table.add("rule", &o.rule, "only those this reward rule judged").value_name("NAME");
  table.add("status", &o.status, "only those with this verdict (of --rule, if given)")
      .value_name("NAME");
  table.group("Output");
  table.add("full", &o.full, "whole texts, not only their ends");
  return table;
}

}  // namespace

void add_inspect_samples(Subcommands& list) {
  const auto options = std::make_shared<SamplesOptions>();
  list.add({.name = "inspect samples",
            .about = "samples with their texts and verdicts: best, worst, longest, truncated, ...",
            .examples = "  temper inspect samples RUN_DIR --best 3\n"
                        "  temper inspect samples RUN_DIR --step 40 --truncated --longest 5\n"
                        "  temper inspect samples RUN_DIR --rule math --status no_answer --full\n"
                        "  temper inspect samples RUN_DIR --disagreeing --rule math\n"
                        "  temper inspect samples RUN_DIR --gold-not-in-text --count 20",
            .options = samples_table(*options),
            .run = [options](Invocation& cli) { return show_samples(cli, *options); }});
}

}  // namespace temper
