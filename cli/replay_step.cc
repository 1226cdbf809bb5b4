#include "cli/replay_step.h"

#include <cmath>
#include <optional>

#include "cli/compare_steps.h"
#include "cli/help.h"
#include "cli/inspect_table.h"
#include "cli/prompted_model.h"
#include "cli/reward_rules.h"
#include "cli/run_folder.h"
#include "cli/stored_options.h"
#include "core/device.h"
#include "core/json.h"
#include "core/temporary_folder.h"
#include "grpo/stored_step.h"
#include "grpo/trainer.h"
#include "model/decoder.h"

namespace temper {
namespace fs = std::filesystem;
namespace {

// Where the steps are written again; it goes with all it holds.
struct ScratchFolder {
  fs::path path = make_temporary_folder("temper-replay");
  ScratchFolder() = default;
  ~ScratchFolder() {
    std::error_code error;
    fs::remove_all(path, error);
  }
  ScratchFolder(const ScratchFolder&) = delete;
  ScratchFolder& operator=(const ScratchFolder&) = delete;
};

RunRow replayed_run(Database& db, const ReplayStepOptions& o) {
  std::optional<RunRow> run;
  for (const RunRow& row : read_runs(db))
    if (o.run == row.id || (o.run == 0 && row.kind == "grpo")) run = row;
  if (run && run->kind == "grpo") return *run;
  throw UserError({.what = "there is no GRPO run to replay",
                   .where = o.run == 0 ? o.path : "--run " + std::to_string(o.run),
                   .expected = "a run of temper grpo: its database has what a step was trained on",
                   .found = run ? "a run of temper " + run->kind : "",
                   .hint = "temper verify-resume does sft again, from its data"});
}

void check_steps(Database& db, const RunRow& run, int64_t first, int64_t last) {
  const std::optional<StepRow> end = last_step(db, run.id, "grpo");
  const int64_t known = end ? end->key.step : 0;
  if (first >= 1 && first <= last && last <= known) return;
  throw UserError(
      {.what = "the run has no such step",
       .where = "replay step",
       .expected = "steps from 1 to " + std::to_string(known),
       .found = std::to_string(first) + (last == first ? "" : " to " + std::to_string(last))});
}

// The newest kept and undamaged checkpoint behind a step before `step`; nothing: the run's
// beginning.
std::optional<CheckpointRow> checkpoint_before(Database& db, const RunRow& run, int64_t step,
                                               Logger& log) {
  std::vector<CheckpointRow> saved = read_checkpoints(db, run.id);
  for (; !saved.empty(); saved.pop_back()) {
    const CheckpointRow& row = saved.back();
    if (row.key.kind != "grpo" || row.key.step >= step) continue;
    const fs::path dir = db.path().parent_path() / row.path;
    const std::vector<std::string> damage = checkpoint_damage(dir, row);
    if (damage.empty()) return row;
    log.warn(dir.string() + " is damaged (" + damage.front() + "): replaying from before it");
  }
  return std::nullopt;
}

// The folder of the weights that the run began with.
fs::path first_model(const ReplayStepOptions& o, const RunRow& run) {
  const fs::path model = o.model.empty() ? fs::path(run.model) : fs::path(o.model);
  if (!fs::is_directory(model))
    throw UserError({.what = "the model that the run began with is not there",
                     .where = model.string(),
                     .hint = "name its folder with --model"});
  check_model_files(run, model);
  return model;
}

GrpoOptions options_of(const RunRow& run, const std::string& where) {
  GrpoOptions o;
  OptionsTable table = grpo_options(o);
  set_stored_options(table, run.config, where);
  return o;
}

void warn_of_differences(const RunRow& run, Invocation& cli) {
  const Json environment = parse_json(run.environment, "runs.environment");
  const JsonValue* device = find_member(environment, "device");
  const std::string now(name_of(device_of(cli.common.device)));
  if (device != nullptr && device->IsString() && device->GetString() != now)
    cli.log.warn("the run was made on " + std::string(device->GetString()) + ", this is " + now +
                 ": the last bits may differ");
  if (run.code_version != version_text())
    cli.log.warn("the run was made by another build of temper: the last bits may differ");
}

int64_t micro_batch_tokens_of(const RunRow& run) {
  const Json environment = parse_json(run.environment, "runs.environment");
  const JsonValue* tokens = find_member(environment, "micro_batch_tokens");
  if (tokens != nullptr && tokens->IsInt64() && tokens->GetInt64() > 0) return tokens->GetInt64();
  throw UserError({.what = "the run does not say how large its micro-batches were",
                   .where = "runs.environment",
                   .hint = "it was made by a release before replays"});
}

// One replay: model, reference and prompts, and train_grpo() on them.
class Replay {
 public:
  Replay(const ReplayStepOptions& options, Invocation& cli)
      : options_(options),
        cli_(cli),
        db_(open_for_reading(options.path)),
        run_(replayed_run(db_, options)),
        last_(std::max(options.step, options.to)),
        o_(options_of(run_, db_.path().string())) {
    check_steps(db_, run_, options.step, last_);
    from_ = checkpoint_before(db_, run_, options.step, cli.log);
    warn_of_differences(run_, cli);
    train();
  }

  int report() {
    Database again = open_for_reading(scratch_.path);
    Table steps({"step", "samples", "policy/loss", "grad_norm", "weights", "replay"});
    Table list({"step", "where", "column", "stored", "again"});
    bool equal = true;
    for (int64_t step = first_; step <= last_; ++step) {
      const StepKey key{run_.id, "grpo", step};
      const std::vector<StepDifference> found = compare_step(db_, key, again, 1);
      equal = equal && found.empty();
      add_step(steps, key, found.size());
      for (const StepDifference& d : found)
        list.add({d.step, d.where, d.column, d.stored, d.again});
    }
    if (options_.json) {
      cli_.out << "{\"equal\":" << (equal ? "true" : "false") << ",\"from\":" << quote_json(start())
               << ",\n\"steps\":";
      steps.write_json(cli_.out);
      cli_.out << ",\"differences\":";
      list.write_json(cli_.out);
      cli_.out << "}\n";
      return equal ? 0 : 1;
    }
    cli_.out << "from " << start() << '\n';
    steps.write_text(cli_.out, 0);
    if (!equal) {
      cli_.out << "\nfirst differences: what comes first is the cause\n";
      list.first(kShown).write_text(cli_.out, 60);
    }
    return equal ? 0 : 1;
  }

 private:
  static constexpr size_t kShown = 12;

  std::string start() const { return from_ ? from_->path : "the model that the run began with"; }

  void train() {
    RewardRules rules(cli_, o_.training.dtype, true);
    const CompositeReward reward = rules.reward(o_.reward, "--reward of the run");
    std::optional<CompositeReward> process;
    if (!o_.process_reward.empty())
      process.emplace(rules.reward(o_.process_reward, "--process-reward of the run"));
    const fs::path folder =
        from_ ? db_.path().parent_path() / from_->path : first_model(options_, run_);
    Context ctx(static_cast<int>(cli_.common.threads), device_of(cli_.common.device));
    ModelInUse model = load_model_in_use(ctx, folder, o_.training.dtype, cli_.log);
    const ChatTemplate chat = ChatTemplate::choose(o_.chat_template, model.need_tokenizer());
    rules.use_context(ctx);
    rules.use_policy(model, chat);
    std::optional<TrainingCheckpoint> checkpoint;
    if (from_) checkpoint.emplace(folder);
    first_ = checkpoint ? checkpoint->step() + 1 : 1;
    std::optional<OwnedWeights> reference;
    if (o_.has_reference())
      reference = load_model(ctx, first_model(options_, run_), o_.training.dtype).weights;

    Store store(scratch_.path);
    const int64_t id = store.begin_run({.kind = "grpo",
                                        .model = run_.model,
                                        .seed = run_.seed,
                                        .code_version = run_.code_version,
                                        .command_line = run_.command_line});
    const StoredSteps stored(db_, run_.id);
    const StoredSteps::Run run{
        o_, model.config, reward,
        count_moe_layers(model.weights.view) * model.config.num_experts_per_tok};
    train_grpo({.ctx = ctx,
                .config = model.config,
                .weights = model.weights,
                .reference = reference ? &*reference : nullptr,
                .options = o_,
                .prompts = stored.prompts(),
                .tokenizer = model.need_tokenizer(),
                .stop_ids = stop_ids_for(model, &chat),
                .reward = reward,
                .process_reward = process ? &*process : nullptr,
                .micro_batch_tokens = micro_batch_tokens_of(run_),
                .store = store,
                .run_id = id,
                .log = cli_.log,
                .interrupt = cli_.interrupt,
                .save = {},
                .resume = checkpoint ? &*checkpoint : nullptr,
                .stored_batch = [&](int64_t step) { return stored.batch(step, run); },
                .last_step = last_});
    if (cli_.interrupt.requested()) throw UserError({.what = "interrupted"});
  }

  void add_step(Table& steps, const StepKey& key, size_t differences) {
    const auto metric = [&](const char* name) -> Cell {
      const auto value = db_.value<std::optional<double>>(
          "SELECT value FROM metrics WHERE run_id = ? AND kind = ? AND step = ? AND name = ?",
          key.run_id, key.kind, key.step, name);
      return value && *value ? Cell(**value) : Cell();
    };
    const auto count = db_.value<int64_t>(
        "SELECT count(*) FROM samples WHERE run_id = ? AND kind = ? AND step = ?", key.run_id,
        key.kind, key.step);
    const auto sum = db_.value<std::optional<std::string>>(
        "SELECT weights_checksum FROM steps WHERE run_id = ? AND kind = ? AND step = ?", key.run_id,
        key.kind, key.step);
    const std::string verdict =
        differences == 0 ? "equal bit for bit" : std::to_string(differences) + " values DIFFER";
    steps.add({key.step, count.value_or(0), metric("policy/loss"), metric("grad_norm"),
               sum && *sum ? Cell(**sum) : Cell(std::string("not kept")), verdict});
  }

  const ReplayStepOptions& options_;
  Invocation& cli_;
  Database db_;
  RunRow run_;
  int64_t first_ = 1, last_;
  GrpoOptions o_;
  std::optional<CheckpointRow> from_;
  ScratchFolder scratch_;
};

}  // namespace

int replay_steps(const ReplayStepOptions& options, Invocation& cli) {
  return Replay(options, cli).report();
}

}  // namespace temper
