// The schema itself. A released migration is never edited: what comes later is a new one.
// The comments inside the SQL are kept by SQLite: `.schema` in the sqlite3 shell shows them.
#include <array>

#include "data/migrations.h"

namespace temper {
namespace {

constexpr std::string_view kTables = R"sql(
CREATE TABLE runs (
  id           INTEGER PRIMARY KEY,
  kind         TEXT NOT NULL,     -- the subcommand: sft, grpo, rollout, eval, ...
  status       TEXT NOT NULL CHECK (status IN ('running', 'done', 'failed', 'interrupted')),
  started      REAL NOT NULL,     -- seconds since 1970 UTC
  finished     REAL,              -- NULL while it runs or if it was killed
  model        TEXT NOT NULL,     -- the model folder it started from
  seed         INTEGER NOT NULL,  -- 64 bits; above 2^63 it shows as negative
  code_version TEXT NOT NULL,
  command_line TEXT NOT NULL,     -- as typed
  config       TEXT NOT NULL,     -- JSON object: every option as resolved
  data_hashes  TEXT NOT NULL,     -- JSON object: file -> hash
  environment  TEXT NOT NULL      -- JSON object: machine, threads, types
);

-- A row here is a step that is complete: its rows in all other tables committed with it.
CREATE TABLE steps (
  run_id           INTEGER NOT NULL REFERENCES runs(id) ON DELETE CASCADE,
  kind             TEXT NOT NULL,     -- sft, grpo, rollout, eval
  step             INTEGER NOT NULL,  -- from 1; an eval at 0 is one before training
  policy_version   INTEGER NOT NULL,  -- optimiser updates the sampling weights had seen
  started          REAL NOT NULL,
  committed        REAL,              -- never NULL to a reader
  wall_seconds     REAL,
  trained_tokens   INTEGER,           -- tokens that carried loss
  generated_tokens INTEGER,
  PRIMARY KEY (run_id, kind, step)
) WITHOUT ROWID;

CREATE TABLE checkpoints (
  id             INTEGER PRIMARY KEY,
  run_id         INTEGER NOT NULL,
  kind           TEXT NOT NULL,
  step           INTEGER NOT NULL,  -- holds the weights after this step
  path           TEXT NOT NULL,     -- relative to the run directory
  policy_version INTEGER NOT NULL,
  bytes          INTEGER NOT NULL,
  saved          REAL NOT NULL,
  removed        REAL,              -- when its folder was deleted to save space; else NULL
  trainer_state  TEXT NOT NULL,     -- JSON object: what a resume needs besides the folder
  UNIQUE (run_id, kind, step),
  FOREIGN KEY (run_id, kind, step) REFERENCES steps(run_id, kind, step) ON DELETE CASCADE
);

CREATE TABLE prompts (
  id        INTEGER PRIMARY KEY,
  run_id    INTEGER NOT NULL REFERENCES runs(id) ON DELETE CASCADE,
  key       TEXT NOT NULL,     -- which prompt, e.g. train.jsonl:17; once a run
  text      TEXT NOT NULL,     -- as the model reads it, template included
  ids       BLOB NOT NULL,     -- int32
  reference TEXT,              -- the gold answer, if there is one
  data      TEXT NOT NULL,     -- JSON object: the data row, for the rewards
  UNIQUE (run_id, key)
);

CREATE TABLE samples (
  id                     INTEGER PRIMARY KEY,
  run_id                 INTEGER NOT NULL,
  kind                   TEXT NOT NULL,
  step                   INTEGER NOT NULL,
  group_index            INTEGER NOT NULL,  -- the group in its step, from 0
  sample_index           INTEGER NOT NULL,  -- the sample in its group, from 0
  prompt_id              INTEGER NOT NULL REFERENCES prompts(id),
  policy_version         INTEGER NOT NULL,
  tokens                 INTEGER NOT NULL,  -- length of the completion
  finish_reason          TEXT NOT NULL,     -- stop, length, ...
  reward                 REAL,              -- the total: weighted sum of its rewards
  advantage              REAL,
  zero_signal            INTEGER NOT NULL,  -- 1: all rewards of the group were equal
  truncated              INTEGER NOT NULL,  -- 1: cut off at the length limit
  dropped                TEXT,              -- why the optimiser did not use it; NULL: it did
  rollout_logprob        REAL,              -- sum over the completion, nats
  trainer_logprob        REAL,
  reference_logprob      REAL,
  max_logprob_difference REAL,              -- max |rollout - trainer| over the masked-in tokens
  queue_seconds          REAL,              -- waiting for a place in the batch
  generate_seconds       REAL,              -- from its first to its last token
  completion             TEXT NOT NULL,
  ids                    BLOB NOT NULL,     -- int32, one a completion token
  loss_mask              BLOB,              -- uint8: 1 carries loss; NULL: all do
  rollout_logprobs       BLOB,              -- float32, as sampled
  trainer_logprobs       BLOB,              -- float32, by the trainer before its first update
  reference_logprobs     BLOB,              -- float32, by the reference model
  UNIQUE (run_id, kind, step, group_index, sample_index),
  FOREIGN KEY (run_id, kind, step) REFERENCES steps(run_id, kind, step) ON DELETE CASCADE
);
CREATE INDEX samples_by_prompt ON samples(prompt_id);

CREATE TABLE rewards (
  sample_id    INTEGER NOT NULL REFERENCES samples(id) ON DELETE CASCADE,
  rule         TEXT NOT NULL,     -- the component's name in the run's reward
  value        REAL,              -- before the weight; NULL: could not judge
  weight       REAL NOT NULL,
  counted      INTEGER NOT NULL,  -- 0: its gate was closed, so it added nothing
  status       TEXT NOT NULL
    CHECK (status IN ('ok', 'wrong', 'no_answer', 'bad_gold', 'timeout', 'error')),
  extracted    TEXT,              -- the answer the rule found
  reason       TEXT,
  microseconds INTEGER NOT NULL,
  PRIMARY KEY (sample_id, rule)
) WITHOUT ROWID;

CREATE TABLE metrics (
  run_id INTEGER NOT NULL,
  kind   TEXT NOT NULL,
  step   INTEGER NOT NULL,
  name   TEXT NOT NULL,
  value  REAL,              -- NULL: not a number
  PRIMARY KEY (run_id, kind, step, name),
  FOREIGN KEY (run_id, kind, step) REFERENCES steps(run_id, kind, step) ON DELETE CASCADE
) WITHOUT ROWID;
CREATE INDEX metrics_by_name ON metrics(run_id, name, kind, step, value);

CREATE TABLE evals (
  run_id             INTEGER NOT NULL,
  kind               TEXT NOT NULL,
  step               INTEGER NOT NULL,
  task               TEXT NOT NULL,
  prompts            INTEGER NOT NULL,
  samples_per_prompt INTEGER NOT NULL,
  temperature        REAL NOT NULL,
  top_p              REAL NOT NULL,
  max_new_tokens     INTEGER NOT NULL,
  pass_at_1          REAL,              -- mean correctness over prompts and samples, 0 to 1
  standard_error     REAL,              -- of pass_at_1, over prompts
  format_rate        REAL,
  mean_tokens        REAL,
  truncated_rate     REAL,
  details            TEXT NOT NULL,     -- JSON object
  PRIMARY KEY (run_id, kind, step, task),
  FOREIGN KEY (run_id, kind, step) REFERENCES steps(run_id, kind, step) ON DELETE CASCADE
) WITHOUT ROWID;

CREATE TABLE events (
  id     INTEGER PRIMARY KEY,
  run_id INTEGER NOT NULL REFERENCES runs(id) ON DELETE CASCADE,
  time   REAL NOT NULL,
  level  TEXT NOT NULL CHECK (level IN ('info', 'warning', 'error')),
  step   INTEGER,
  text   TEXT NOT NULL,
  data   TEXT NOT NULL     -- JSON object
);
)sql";

constexpr std::string_view kViews = R"sql(
CREATE VIEW sample_text AS
SELECT s.id, s.run_id, s.kind, s.step, s.group_index, s.sample_index, s.reward, s.advantage,
       s.tokens, s.finish_reason, s.truncated, s.zero_signal, s.dropped,
       p.key AS prompt_key, p.text AS prompt, p.reference, s.completion
FROM samples s JOIN prompts p ON p.id = s.prompt_id;

CREATE VIEW sample_groups AS
SELECT run_id, kind, step, group_index, min(prompt_id) AS prompt_id, count(*) AS samples,
       avg(reward) AS mean_reward, min(reward) AS min_reward, max(reward) AS max_reward,
       max(zero_signal) AS zero_signal, sum(truncated) AS truncated, avg(tokens) AS mean_tokens
FROM samples GROUP BY run_id, kind, step, group_index;
)sql";

constexpr std::string_view kTokenAdvantages = R"sql(
ALTER TABLE samples ADD COLUMN token_advantages BLOB;  -- float32; NULL: `advantage` for each
)sql";

constexpr std::string_view kKeptTokens = R"sql(
ALTER TABLE samples ADD COLUMN kept_counts BLOB;  -- int32 a token; NULL: nothing was kept
ALTER TABLE samples ADD COLUMN kept_ids BLOB;     -- int32: the sets one after another
)sql";

constexpr std::string_view kExperts = R"sql(
ALTER TABLE samples ADD COLUMN experts BLOB;  -- uint16: of prompt and completion; NULL: not kept
)sql";

constexpr std::string_view kLineage = R"sql(
-- A stage of a chain (temper r1). One that is run anew is a new row; the last of a name counts.
CREATE TABLE stages (
  id         INTEGER PRIMARY KEY,
  run_id     INTEGER NOT NULL REFERENCES runs(id) ON DELETE CASCADE,
  name       TEXT NOT NULL,
  position   INTEGER NOT NULL,  -- in the recipe, from 0
  subcommand TEXT NOT NULL,
  command    TEXT NOT NULL,     -- what was run, without the program's name
  output     TEXT NOT NULL,     -- folder or file, relative to the chain's folder
  status     TEXT NOT NULL
    CHECK (status IN ('running', 'done', 'failed', 'interrupted', 'set aside')),
  started    REAL NOT NULL,
  finished   REAL
);
CREATE INDEX stages_by_name ON stages(run_id, name);

-- What a stage read and what it left.
CREATE TABLE lineage (
  id         INTEGER PRIMARY KEY,
  stage_id   INTEGER NOT NULL REFERENCES stages(id) ON DELETE CASCADE,
  direction  TEXT NOT NULL CHECK (direction IN ('input', 'output')),
  role       TEXT NOT NULL,  -- the option that named it, or: model, samples, database, file
  path       TEXT NOT NULL,  -- relative to the chain's folder, if it lies in it
  hash       TEXT NOT NULL,  -- of the bytes of the file, or of the folder's files
  from_stage INTEGER REFERENCES stages(id)  -- which stage made an input; NULL: from outside
);
CREATE INDEX lineage_by_stage ON lineage(stage_id);

CREATE VIEW stage_inputs AS
SELECT s.run_id, s.name AS stage, l.role, l.path, l.hash, f.name AS made_by, f.id AS made_by_id,
       s.id AS stage_id
FROM lineage l JOIN stages s ON s.id = l.stage_id LEFT JOIN stages f ON f.id = l.from_stage
WHERE l.direction = 'input';
)sql";

constexpr std::string_view kReplay = R"sql(
ALTER TABLE samples ADD COLUMN entropies BLOB;  -- float32: the trainer's, with trainer_logprobs
ALTER TABLE samples ADD COLUMN clips BLOB;      -- uint8 a token; NULL: no update was bound
ALTER TABLE steps ADD COLUMN weights_checksum TEXT;  -- xxh64:... of the weights after the step

-- Where the tokens of a group's prompt went, once for its samples: their own `experts` then begin
-- behind the prompt.
CREATE TABLE prompt_experts (
  run_id      INTEGER NOT NULL,
  kind        TEXT NOT NULL,
  step        INTEGER NOT NULL,
  group_index INTEGER NOT NULL,
  experts     BLOB NOT NULL,  -- uint16
  PRIMARY KEY (run_id, kind, step, group_index),
  FOREIGN KEY (run_id, kind, step) REFERENCES steps(run_id, kind, step) ON DELETE CASCADE
);

-- All that a list of samples or groups is ordered and chosen by, without their texts and blobs.
CREATE INDEX samples_at_a_glance ON samples(run_id, kind, step, group_index, sample_index, reward,
  tokens, zero_signal, truncated, dropped, advantage, prompt_id);
CREATE INDEX events_by_run ON events(run_id, level);
)sql";

constexpr std::string_view kHours = R"sql(
-- How long a run has held its devices: its steps, those too that a resume did again. NULL: it has
-- no steps of its own.
CREATE VIEW run_hours AS
SELECT run_id, kind, device, devices, seconds, seconds * devices / 3600 AS device_hours
FROM (SELECT r.id AS run_id, r.kind, json_extract(r.environment, '$.device') AS device,
             coalesce(json_extract(r.environment, '$.devices'), 1) AS devices,
             (SELECT sum(s.wall_seconds) FROM steps s WHERE s.run_id = r.id) +
             (SELECT total(json_extract(e.data, '$.discarded_seconds')) FROM events e
              WHERE e.run_id = r.id) AS seconds
      FROM runs r);
)sql";

constexpr std::array kMigrations = {
    Migration{1, "tables", kTables},
    Migration{2, "views for reading", kViews},
    Migration{3, "an advantage a token", kTokenAdvantages},
    Migration{4, "what the sampler kept", kKeptTokens},
    Migration{5, "the experts of the rollout", kExperts},
    Migration{6, "stages of a chain and their lineage", kLineage},
    Migration{7, "what a replay compares, and lists without texts", kReplay},
    Migration{8, "the hours of a run", kHours},
};

}  // namespace

std::span<const Migration> store_migrations() {
  return kMigrations;
}

}  // namespace temper
