// temper inspect groups | verdicts: where the signal is, and what the rules said.
#include "cli/inspect.h"

namespace temper {
namespace {

struct GroupsOptions {
  InspectOptions inspect;
  int64_t step = -1, count = 20;
  std::string kind;
  bool zero_signal = false;
};

int show_groups(Invocation& cli, const GroupsOptions& options) {
  Database db = open_for_reading(options.inspect.path);
  const RunRow run = inspected_run(db, options.inspect);
  const Table table = query_table(
      db,
      "SELECT g.kind, g.step, g.group_index, p.key AS prompt, g.samples, g.mean_reward,"
      " g.min_reward, g.max_reward, g.zero_signal, g.truncated, g.mean_tokens, p.reference AS gold"
      " FROM sample_groups g JOIN prompts p ON p.id = g.prompt_id WHERE g.run_id = ?1"
      " AND (?2 < 0 OR g.step = ?2) AND (?3 = '' OR g.kind = ?3) AND (NOT ?4 OR g.zero_signal)"
      " ORDER BY g.step DESC, g.kind, g.group_index LIMIT ?5",
      run.id, options.step, options.kind, options.zero_signal, options.count);
  write_table(cli, options.inspect, table, "no such group");
  return 0;
}

int show_verdicts(Invocation& cli, const GroupsOptions& options) {
  Database db = open_for_reading(options.inspect.path);
  const RunRow run = inspected_run(db, options.inspect);
  const Table table = query_table(
      db,
      "SELECT s.kind, r.rule, r.status, count(*) AS samples,"
      " round(100.0 * count(*) / sum(count(*)) OVER (PARTITION BY s.kind, r.rule), 2) AS percent,"
      " avg(r.value) AS mean_value, r.weight, avg(r.microseconds) AS mean_us,"
      " min(s.id) AS example FROM rewards r JOIN samples s ON s.id = r.sample_id"
      " WHERE s.run_id = ?1 AND (?2 < 0 OR s.step = ?2) AND (?3 = '' OR s.kind = ?3)"
      " GROUP BY s.kind, r.rule, r.status ORDER BY s.kind, r.rule, count(*) DESC",
      run.id, options.step, options.kind);
  write_table(cli, options.inspect, table, "no reward was recorded");
  return 0;
}

OptionsTable selection(GroupsOptions& o) {
  OptionsTable table = inspect_options(o.inspect);
  table.group("Selection");
  table.add("step", &o.step, "only this step; -1 takes all").at_least(-1);
  table.add("kind", &o.kind, "only steps of this kind: grpo, rollout, eval");
  return table;
}

}  // namespace

void add_inspect_groups(Subcommands& list) {
  const auto groups = std::make_shared<GroupsOptions>();
  OptionsTable table = selection(*groups);
  table.add("zero-signal", &groups->zero_signal, "only groups whose rewards are all equal");
  table.add("count", &groups->count, "how many, from the latest step back").at_least(1);
  list.add({.name = "inspect groups",
            .about = "the samples of one prompt together: rewards, signal, length",
            .examples = "  temper inspect groups RUN_DIR --zero-signal --step 40",
            .options = std::move(table),
            .run = [groups](Invocation& cli) { return show_groups(cli, *groups); }});
  const auto verdicts = std::make_shared<GroupsOptions>();
  list.add({.name = "inspect verdicts",
            .about = "what each reward rule said, how often, and how long it took",
            .options = selection(*verdicts),
            .run = [verdicts](Invocation& cli) { return show_verdicts(cli, *verdicts); }});
}

}  // namespace temper
