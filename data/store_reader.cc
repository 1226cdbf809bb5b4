#include "data/store_reader.h"

#include "data/migrations.h"
#include "data/store_blobs.h"

namespace temper {
namespace {

constexpr std::string_view kRunColumns =
    "SELECT id, kind, status, started, finished, model, seed, code_version, command_line, config,"
    " data_hashes, environment FROM runs";

RunRow run_of(const Statement& row) {
  return {.id = row.get<int64_t>(0),
          .kind = row.get<std::string>(1),
          .status = row.get<std::string>(2),
          .started = row.get<double>(3),
          .finished = row.get<std::optional<double>>(4),
          .model = row.get<std::string>(5),
          .seed = row.get<uint64_t>(6),
          .code_version = row.get<std::string>(7),
          .command_line = row.get<std::string>(8),
          .config = row.get<std::string>(9),
          .data_hashes = row.get<std::string>(10),
          .environment = row.get<std::string>(11)};
}

constexpr std::string_view kSampleColumns =
    "SELECT run_id, kind, step, id, group_index, sample_index, prompt_id, policy_version,"
    " completion, finish_reason, ids, loss_mask, rollout_logprobs, trainer_logprobs,"
    " reference_logprobs, reward, advantage, max_logprob_difference, zero_signal, truncated,"
    " dropped, token_advantages, kept_counts, kept_ids, experts, entropies, clips,"
    " (SELECT e.experts FROM prompt_experts e WHERE e.run_id = samples.run_id"
    "    AND e.kind = samples.kind AND e.step = samples.step"
    "    AND e.group_index = samples.group_index) FROM samples";

StepKey key_of(const Statement& row) {
  return {row.get<int64_t>(0), row.get<std::string>(1), row.get<int64_t>(2)};
}

// The prompt's part, where the group has it once, and the sample's own.
std::vector<uint16_t> experts_of(const Statement& row, int own, int prompt) {
  if (row.is_null(own)) return {};
  std::vector<uint16_t> experts = from_blob<uint16_t>(row.get<Blob>(prompt));
  const std::vector<uint16_t> more = from_blob<uint16_t>(row.get<Blob>(own));
  experts.insert(experts.end(), more.begin(), more.end());
  return experts;
}

SampleRow sample_of(const Statement& row) {
  return {.id = row.get<int64_t>(3),
          .key = key_of(row),
          .group_index = row.get<int64_t>(4),
          .sample_index = row.get<int64_t>(5),
          .prompt_id = row.get<int64_t>(6),
          .policy_version = row.get<int64_t>(7),
          .completion = row.get<std::string>(8),
          .finish_reason = row.get<std::string>(9),
          .ids = from_blob<int32_t>(row.get<Blob>(10)),
          .loss_mask = from_blob<uint8_t>(row.get<Blob>(11)),
          .rollout_logprobs = from_blob<float>(row.get<Blob>(12)),
          .trainer_logprobs = from_blob<float>(row.get<Blob>(13)),
          .reference_logprobs = from_blob<float>(row.get<Blob>(14)),
          .token_advantages = from_blob<float>(row.get<Blob>(21)),
          .kept_counts = from_blob<int32_t>(row.get<Blob>(22)),
          .kept_ids = from_blob<int32_t>(row.get<Blob>(23)),
          .experts = experts_of(row, 24, 27),
          .entropies = from_blob<float>(row.get<Blob>(25)),
          .clips = from_blob<uint8_t>(row.get<Blob>(26)),
          .reward = row.get<std::optional<double>>(15),
          .advantage = row.get<std::optional<double>>(16),
          .max_logprob_difference = row.get<std::optional<double>>(17),
          .zero_signal = row.get<bool>(18),
          .truncated = row.get<bool>(19),
          .dropped = row.get<std::optional<std::string>>(20)};
}

constexpr std::string_view kStepColumns =
    "SELECT run_id, kind, step, policy_version, started, committed, wall_seconds, trained_tokens,"
    " generated_tokens, weights_checksum FROM steps";

StepRow step_of(const Statement& row) {
  return {.key = key_of(row),
          .policy_version = row.get<int64_t>(3),
          .started = row.get<double>(4),
          .committed = row.get<double>(5),
          .wall_seconds = row.get<double>(6),
          .trained_tokens = row.get<std::optional<int64_t>>(7),
          .generated_tokens = row.get<std::optional<int64_t>>(8),
          .weights_checksum = row.get<std::optional<std::string>>(9)};
}

// Collects `make(row)` of every row.
template <class Make, class... Values>
auto collect(Database& database, std::string_view sql, Make make, const Values&... values) {
  std::vector<decltype(make(std::declval<const Statement&>()))> rows;
  database.for_each_row(
      sql, [&](const Statement& row) { rows.push_back(make(row)); }, values...);
  return rows;
}

template <class Row>
std::optional<Row> first_of(std::vector<Row> rows) {
  if (rows.empty()) return std::nullopt;
  return std::move(rows.front());
}

// Databases of an older schema are read through a copy that is brought forward, up to this size.
constexpr std::uintmax_t kLargestCopy = std::uintmax_t{1} << 30;

// Runs may lie in the folders of a folder: a chain's stages, a teacher's samples.
[[noreturn]] void refuse_absent(const std::filesystem::path& run) {
  std::string inside;
  std::error_code ignored;
  for (const auto& entry : std::filesystem::directory_iterator(run, ignored))
    if (std::filesystem::exists(entry.path() / kStoreFile, ignored))
      inside += (inside.empty() ? "" : ", ") + entry.path().string();
  throw UserError({.what = "no such database",
                   .where = store_path(run).string(),
                   .hint = inside.empty()
                               ? "give a run directory (which holds run.db) or the file itself"
                               : "there are runs in " + inside});
}

}  // namespace

Database open_for_reading(const std::filesystem::path& run) {
  const std::filesystem::path file = store_path(run);
  if (!std::filesystem::exists(file)) refuse_absent(run);
  Database database(file, OpenMode::read_only);
  refuse_unknown(database);
  const bool older = schema_version(database) < store_migrations().back().version;
  if (!older || std::filesystem::file_size(file) > kLargestCopy) {
    check_schema(database);
    return database;
  }
  Database copy = database.private_copy();
  migrate(copy);
  copy.run_script("PRAGMA query_only=ON");
  return copy;
}

void attach_for_reading(Database& database, const std::filesystem::path& run) {
  Database other(store_path(run), OpenMode::read_only);
  check_schema(other);
  database.execute("ATTACH ? AS other", other.path().string());
}

std::vector<RunRow> read_runs(Database& database) {
  return collect(database, std::string(kRunColumns) + " ORDER BY id", run_of);
}

std::optional<RunRow> read_run(Database& database, int64_t run_id) {
  return first_of(collect(database, std::string(kRunColumns) + " WHERE id = ?", run_of, run_id));
}

std::vector<StepRow> read_steps(Database& database, int64_t run_id, std::string_view kind) {
  return collect(database,
                 std::string(kStepColumns) +
                     " WHERE run_id = ?1 AND (?2 = '' OR kind = ?2) ORDER BY step, kind",
                 step_of, run_id, kind);
}

std::optional<StepRow> last_step(Database& database, int64_t run_id, std::string_view kind) {
  return first_of(collect(
      database,
      std::string(kStepColumns) + " WHERE run_id = ? AND kind = ? ORDER BY step DESC LIMIT 1",
      step_of, run_id, kind));
}

bool has_step(Database& database, const StepKey& key) {
  return database
      .value<int>("SELECT 1 FROM steps WHERE run_id = ? AND kind = ? AND step = ?", key.run_id,
                  key.kind, key.step)
      .has_value();
}

std::vector<CheckpointRow> read_checkpoints(Database& database, int64_t run_id) {
  const auto make = [](const Statement& row) {
    return CheckpointRow{.id = row.get<int64_t>(3),
                         .key = key_of(row),
                         .path = row.get<std::string>(4),
                         .policy_version = row.get<int64_t>(5),
                         .bytes = row.get<int64_t>(6),
                         .saved = row.get<double>(7),
                         .trainer_state = row.get<std::string>(8)};
  };
  return collect(database,
                 "SELECT run_id, kind, step, id, path, policy_version, bytes, saved,"
                 " trainer_state FROM checkpoints WHERE run_id = ? AND removed IS NULL"
                 " ORDER BY step, id",
                 make, run_id);
}

std::optional<CheckpointRow> last_checkpoint(Database& database, int64_t run_id) {
  std::vector<CheckpointRow> all = read_checkpoints(database, run_id);
  if (all.empty()) return std::nullopt;
  return std::move(all.back());
}

std::optional<PromptRow> read_prompt(Database& database, int64_t prompt_id) {
  const auto make = [](const Statement& row) {
    return PromptRow{.id = row.get<int64_t>(0),
                     .run_id = row.get<int64_t>(1),
                     .key = row.get<std::string>(2),
                     .text = row.get<std::string>(3),
                     .ids = from_blob<int32_t>(row.get<Blob>(4)),
                     .reference = row.get<std::optional<std::string>>(5),
                     .data = row.get<std::string>(6)};
  };
  return first_of(collect(
      database, "SELECT id, run_id, key, text, ids, reference, data FROM prompts WHERE id = ?",
      make, prompt_id));
}

std::optional<SampleRow> read_sample(Database& database, int64_t sample_id) {
  return first_of(
      collect(database, std::string(kSampleColumns) + " WHERE id = ?", sample_of, sample_id));
}

std::vector<SampleRow> read_samples(Database& database, const StepKey& key) {
  return collect(database,
                 std::string(kSampleColumns) +
                     " WHERE run_id = ? AND kind = ? AND step = ?"
                     " ORDER BY group_index, sample_index",
                 sample_of, key.run_id, key.kind, key.step);
}

std::vector<RewardRow> read_rewards(Database& database, int64_t sample_id) {
  const auto make = [](const Statement& row) {
    return RewardRow{.rule = row.get<std::string>(0),
                     .value = row.get<std::optional<double>>(1),
                     .weight = row.get<double>(2),
                     .counted = row.get<bool>(3),
                     .status = row.get<std::string>(4),
                     .extracted = row.get<std::optional<std::string>>(5),
                     .reason = row.get<std::optional<std::string>>(6),
                     .microseconds = row.get<int64_t>(7)};
  };
  return collect(database,
                 "SELECT rule, value, weight, counted, status, extracted, reason, microseconds"
                 " FROM rewards WHERE sample_id = ? ORDER BY rule",
                 make, sample_id);
}

std::vector<CurvePoint> read_curve(Database& database, int64_t run_id, std::string_view kind,
                                   std::string_view name) {
  const auto make = [](const Statement& row) {
    return CurvePoint{row.get<int64_t>(0), row.get<double>(1)};
  };
  return collect(database,
                 "SELECT step, value FROM metrics WHERE run_id = ? AND kind = ? AND name = ?"
                 " ORDER BY step",
                 make, run_id, kind, name);
}

}  // namespace temper
