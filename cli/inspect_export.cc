// temper inspect export: a run's database as JSONL, or as TensorBoard's event files.
#include <cmath>
#include <filesystem>
#include <fstream>
#include <functional>
#include <map>

#include "cli/event_file.h"
#include "cli/inspect.h"
#include "core/error.h"
#include "core/json.h"

namespace temper {
namespace fs = std::filesystem;
namespace {

enum class ExportForm { jsonl, tensorboard };

struct ExportOptions {
  InspectOptions inspect;
  ExportForm form = ExportForm::jsonl;
  std::string out;
};

// One JSON object, member by member.
class JsonLine {
 public:
  JsonLine& add(const char* key, const Cell& value) { return raw(key, json_value(value)); }
  template <class T>
  JsonLine& add(const char* key, const std::optional<T>& value) {
    return add(key, value ? Cell(*value) : Cell());
  }
  template <class T>
  JsonLine& add_array(const char* key, const std::vector<T>& values) {
    if (values.empty()) return raw(key, "null");
    std::string list;
    for (const T value : values) {
      list += list.empty() ? "[" : ",";
      if constexpr (std::is_floating_point_v<T>)
        list += std::isfinite(value) ? option_text(value) : "null";
      else
        list += std::to_string(value);
    }
    return raw(key, list + "]");
  }
  JsonLine& raw(const char* key, const std::string& json) {
    text_ += (text_.empty() ? "{" : ",") + quote_json(key) + ":" + json;
    return *this;
  }
  std::string line() const { return text_ + "}\n"; }
  std::string object() const { return text_ + "}"; }

 private:
  std::string text_;
};

JsonLine of_step(const StepKey& key) {
  JsonLine line;
  line.add("run", key.run_id).add("kind", key.kind).add("step", key.step);
  return line;
}

std::string rewards_json(Database& db, int64_t sample) {
  std::string list;
  for (const RewardRow& r : read_rewards(db, sample)) {
    JsonLine line;
    line.add("rule", r.rule).add("value", r.value).add("weight", r.weight);
    line.add("counted", int64_t{r.counted}).add("status", r.status);
    line.add("extracted", r.extracted).add("reason", r.reason);
    list += (list.empty() ? "" : ",") + line.object();
  }
  return "[" + list + "]";
}

std::string sample_json(Database& db, const SampleRow& s, const PromptRow& p) {
  JsonLine line = of_step(s.key);
  line.add("sample", s.id).add("group_index", s.group_index).add("sample_index", s.sample_index);
  line.add("policy_version", s.policy_version).add("finish_reason", s.finish_reason);
  line.add("reward", s.reward).add("advantage", s.advantage);
  line.add("zero_signal", int64_t{s.zero_signal}).add("truncated", int64_t{s.truncated});
  line.add("dropped", s.dropped).add("prompt_key", p.key).add("prompt", p.text);
  line.add("reference", p.reference).add("completion", s.completion);
  line.raw("rewards", rewards_json(db, s.id));
  line.add_array("prompt_ids", p.ids).add_array("ids", s.ids).add_array("loss_mask", s.loss_mask);
  line.add_array("rollout_logprobs", s.rollout_logprobs);
  line.add_array("trainer_logprobs", s.trainer_logprobs);
  line.add_array("reference_logprobs", s.reference_logprobs);
  line.add_array("entropies", s.entropies).add_array("token_advantages", s.token_advantages);
  line.add_array("clips", s.clips).add_array("experts", s.experts);
  return line.line();
}

std::string step_json(const StepRow& s) {
  JsonLine line = of_step(s.key);
  line.add("policy_version", s.policy_version).add("started", s.started);
  line.add("committed", s.committed).add("wall_seconds", s.wall_seconds);
  line.add("trained_tokens", s.trained_tokens).add("generated_tokens", s.generated_tokens);
  line.add("weights_checksum", s.weights_checksum);
  return line.line();
}

void write_file(const fs::path& path, const std::function<void(std::ostream&)>& write) {
  if (fs::exists(path))
    throw UserError({.what = "the file is there already",
                     .where = path.string(),
                     .hint = "give a new folder, or remove the old export"});
  std::ofstream file(path, std::ios::binary);
  write(file);
  file.flush();
  if (!file) throw_errno("cannot write " + path.string());
}

void export_jsonl(Database& db, const RunRow& run, const fs::path& out) {
  const std::vector<StepRow> steps = read_steps(db, run.id, "");
  write_file(out / "steps.jsonl", [&](std::ostream& file) {
    for (const StepRow& step : steps) file << step_json(step);
  });
  write_file(out / "metrics.jsonl", [&](std::ostream& file) {
    db.for_each_row(
        "SELECT kind, step, name, value FROM metrics WHERE run_id = ? ORDER BY kind, step, name",
        [&](const Statement& row) {
          JsonLine line = of_step({run.id, row.get<std::string>(0), row.get<int64_t>(1)});
          line.add("name", row.get<std::string>(2)).add("value", row.get<std::optional<double>>(3));
          file << line.line();
        },
        run.id);
  });
  write_file(out / "samples.jsonl", [&](std::ostream& file) {
    for (const StepRow& step : steps)
      for (const SampleRow& sample : read_samples(db, step.key))
        file << sample_json(db, sample, *read_prompt(db, sample.prompt_id));
  });
}

// One folder a kind of step, so that TensorBoard shows them as runs.
void export_events(Database& db, const RunRow& run, const fs::path& out) {
  std::map<std::string, EventFile> files;
  for (const StepRow& step : read_steps(db, run.id, "")) {
    std::vector<EventScalar> scalars;
    db.for_each_row(
        "SELECT name, value FROM metrics WHERE run_id = ? AND kind = ? AND step = ? ORDER BY name",
        [&](const Statement& row) {
          const auto value = row.get<std::optional<double>>(1);
          scalars.push_back({row.get<std::string>(0), value.value_or(std::nan(""))});
        },
        step.key.run_id, step.key.kind, step.key.step);
    if (scalars.empty()) continue;
    const auto file = files.try_emplace(step.key.kind, run.started).first;
    file->second.add(step.committed, step.key.step, scalars);
  }
  const std::string name =
      "events.out.tfevents." + std::to_string(static_cast<int64_t>(run.started)) + ".temper";
  for (const auto& [kind, events] : files) {
    const fs::path folder = out / (kind + "-" + std::to_string(run.id));
    fs::create_directories(folder);
    write_file(folder / name, [&](std::ostream& file) { file << events.bytes(); });
  }
}

void make_folder(const fs::path& out) {
  std::error_code error;
  fs::create_directories(out, error);
  if (error)
    throw UserError({.what = "cannot make the folder: " + error.message(),
                     .where = "--out " + out.string(),
                     .hint = "give a folder that can be written to"});
}

int run_export(Invocation& cli, const ExportOptions& o) {
  Database db = open_for_reading(o.inspect.path);
  const RunRow run = inspected_run(db, o.inspect);
  make_folder(o.out);
  const bool jsonl = o.form == ExportForm::jsonl;
  jsonl ? export_jsonl(db, run, o.out) : export_events(db, run, o.out);
  if (o.inspect.json)
    cli.out << JsonLine().add("run", run.id).add("out", o.out).line();
  else
    cli.out << (jsonl ? "samples.jsonl, steps.jsonl and metrics.jsonl are in "
                      : "tensorboard --logdir ")
            << o.out << '\n';
  return 0;
}

}  // namespace

void add_inspect_export(Subcommands& list) {
  const auto o = std::make_shared<ExportOptions>();
  OptionsTable table = inspect_options(o->inspect);
  table.group("Export");
  table.add_choice("as", &o->form,
                   {{"jsonl", ExportForm::jsonl}, {"tensorboard", ExportForm::tensorboard}},
                   "samples, steps and metrics as rows, or the metrics as event files");
  table.add("out", &o->out, "folder for the files, made if it is absent")
      .value_name("DIR")
      .required();
  list.add({.name = "inspect export",
            .about = "a run as JSONL for other tools, or its metrics for TensorBoard",
            .examples = "  temper inspect export RUN_DIR --as jsonl --out export\n"
                        "  temper inspect export RUN_DIR --as tensorboard --out tb\n",
            .options = std::move(table),
            .run = [o](Invocation& cli) { return run_export(cli, *o); }});
}

}  // namespace temper
