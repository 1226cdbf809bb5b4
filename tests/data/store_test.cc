#include "data/store.h"

#include <cmath>

#include "data/store_reader.h"
#include "tests/data/store_fixture.h"
#include "tests/support/catch.h"
#include "tests/support/temporary_folder.h"

using namespace temper;

TEST_CASE("the store keeps the prompt's experts once a group, and arrays only if told") {
  const TemporaryFolder folder;
  Store store(folder.path());
  const int64_t run = store.begin_run(small_run());
  const SmallSample sample;
  const std::vector<uint16_t> prompt_part{1, 2, 3, 4}, first{5, 6, 7, 8}, whole{9, 9, 9, 9, 5, 6};
  const std::vector<float> entropies{0.5f, 0.25f, 2.0f};
  const std::vector<uint8_t> clips{0, 2, 0};
  StepWriter writer(store, {run, "grpo", 1}, 0);
  const int64_t prompt = writer.add_prompt({.key = "p", .text = "2+2=", .ids = {}});
  writer.add_prompt_experts(0, prompt_part);
  NewSample row = sample.row(prompt, 0, 0);
  row.experts = first;
  row.entropies = entropies;
  row.clips = clips;
  writer.add_sample(row);
  row.sample_index = 1;
  row.keep_tokens = false;
  writer.add_sample(row);
  row = sample.row(prompt, 1, 0);
  row.experts = whole;
  writer.add_sample(row);
  writer.commit({.weights_checksum = "xxh64:0"});

  const std::vector<SampleRow> rows = read_samples(store.database(), {run, "grpo", 1});
  REQUIRE(rows.size() == 3);
  CHECK(rows[0].experts == std::vector<uint16_t>{1, 2, 3, 4, 5, 6, 7, 8});
  CHECK(rows[0].entropies == entropies);
  CHECK(rows[0].clips == clips);
  CHECK(rows[1].ids == sample.ids);
  CHECK(rows[1].experts.empty());
  CHECK(rows[1].rollout_logprobs.empty());
  CHECK(rows[1].loss_mask.empty());
  CHECK(rows[1].max_logprob_difference == rows[0].max_logprob_difference);
  CHECK(store.database().value<double>("SELECT rollout_logprob FROM samples WHERE id = ?",
                                       rows[1].id) == -1.75);
  CHECK(rows[2].experts == whole);
  CHECK(last_step(store.database(), run, "grpo")->weights_checksum == "xxh64:0");
}

TEST_CASE("the store gives back a run, a step, its samples and rewards") {
  const TemporaryFolder folder;
  Store store(folder.path() / "deep" / "run");
  const int64_t run = store.begin_run(small_run());
  write_small_step(store, run, 1, true);
  store.finish_run(run, RunStatus::done);

  Database db = open_for_reading(folder.path() / "deep" / "run");
  const RunRow row = read_run(db, run).value();
  REQUIRE(row.status == "done");
  REQUIRE(row.seed == 0xfedcba9876543210);
  REQUIRE(row.command_line == small_run().command_line);
  REQUIRE(*row.finished >= row.started);

  const StepRow step = last_step(db, run, "grpo").value();
  REQUIRE(step.key.step == 1);
  REQUIRE(step.wall_seconds == 2.0);
  REQUIRE(step.trained_tokens == 12);
  REQUIRE(step.committed >= step.started);
  REQUIRE_FALSE(last_step(db, run, "eval"));
  REQUIRE(read_steps(db, run, "").size() == 1);
  REQUIRE(read_steps(db, run, "eval").empty());

  const auto samples = read_samples(db, {run, "grpo", 1});
  REQUIRE(samples.size() == 4);
  const SmallSample expected;
  const SampleRow& sample = samples[1];
  REQUIRE(sample.ids == expected.ids);
  REQUIRE(sample.loss_mask == expected.mask);
  REQUIRE(sample.rollout_logprobs == expected.rollout);
  REQUIRE(sample.trainer_logprobs == expected.trainer);
  REQUIRE(sample.reference_logprobs == expected.reference);
  REQUIRE(sample.max_logprob_difference == 0.0625);
  REQUIRE(sample.truncated);
  REQUIRE(sample.advantage == -1.0);
  REQUIRE_FALSE(sample.dropped);
  REQUIRE(db.value<double>("SELECT rollout_logprob FROM samples WHERE id = ?", sample.id) == -1.75);

  const auto rewards = read_rewards(db, sample.id);
  REQUIRE(rewards.size() == 2);
  REQUIRE(rewards[0].rule == "countdown");
  REQUIRE(rewards[0].status == "wrong");
  REQUIRE(rewards[0].extracted == "4");
  REQUIRE(rewards[1].weight == 0.5);
  REQUIRE(rewards[0].counted);
  REQUIRE_FALSE(rewards[1].counted);
  REQUIRE_FALSE(rewards[1].reason);

  const PromptRow prompt = read_prompt(db, sample.prompt_id).value();
  REQUIRE(prompt.ids == std::vector<int32_t>{1, 2});
  REQUIRE(prompt.reference == "4");
}

TEST_CASE("the store keeps what was not computed apart from what is empty") {
  const TemporaryFolder folder;
  Store store(folder.path());
  const int64_t run = store.begin_run(small_run());
  store.add_event(run, EventLevel::info, "an empty text is an empty object", "");
  REQUIRE(store.database().value<std::string>("SELECT json_type(data) FROM events") == "object");
  const std::vector<int32_t> ids{3};
  const std::vector<float> wrong_length{1.0f, 2.0f};
  {
    StepWriter writer(store, {run, "rollout", 1}, 0);
    const int64_t prompt = writer.add_prompt({.key = "p", .text = "t", .ids = ids});
    writer.add_sample({.prompt_id = prompt, .completion = "", .finish_reason = "stop", .ids = {}});
    writer.add_sample({.prompt_id = prompt,
                       .sample_index = 1,
                       .completion = "x",
                       .finish_reason = "stop",
                       .ids = ids});
    REQUIRE_THROWS_AS(writer.add_sample({.prompt_id = prompt,
                                         .sample_index = 2,
                                         .completion = "x",
                                         .finish_reason = "stop",
                                         .ids = ids,
                                         .rollout_logprobs = wrong_length}),
                      ContractError);
    writer.add_reward(1, {.rule = "math", .status = "no_answer", .reason = "no box"});
    REQUIRE_THROWS_AS(writer.add_reward(1, {.rule = "format", .status = "fine"}), SystemError);
    writer.add_metric("loss", std::nan(""));
    writer.commit({});
  }
  Database db = open_for_reading(folder.path());
  const std::string types = "SELECT typeof(rollout_logprobs) FROM samples WHERE sample_index = ?";
  REQUIRE(db.value<std::string>(types, 0) == "blob");
  REQUIRE(db.value<std::string>(types, 1) == "null");
  REQUIRE(db.value<std::string>("SELECT typeof(value) FROM rewards") == "null");
  REQUIRE(std::isnan(read_curve(db, run, "rollout", "loss").at(0).value));
  REQUIRE_FALSE(db.value<std::optional<std::string>>("SELECT reference FROM prompts").value());
}

TEST_CASE("the store discards what came after the checkpoint, and only that") {
  const TemporaryFolder folder, straight_folder;
  Store store(folder.path()), straight(straight_folder.path());
  const int64_t other = store.begin_run(small_run()), run = store.begin_run(small_run());
  straight.begin_run(small_run());
  straight.begin_run(small_run());
  for (int64_t step = 1; step <= 4; ++step) {
    write_small_step(store, run, step, step == 2);
    write_small_step(straight, run, step, step == 2);
  }
  store.add_event(run, EventLevel::warning, "killed", "{}", 4);
  Database& db = store.database();
  const int64_t from = last_checkpoint(db, run).value().key.step;
  REQUIRE(from == 2);
  REQUIRE(store.resume_run({.run_id = run,
                            .step = from,
                            .command_line = "",
                            .code_version = "",
                            .config = "{\"steps\":4}"}) == 2);
  REQUIRE(last_step(db, run, "grpo")->key.step == 2);
  REQUIRE(db.value<int>("SELECT count(*) FROM samples") == 8);
  REQUIRE(db.value<int>("SELECT count(*) FROM rewards") == 16);
  REQUIRE(db.value<int>("SELECT count(*) FROM metrics") == 4);
  REQUIRE(db.value<int>("SELECT count(*) FROM prompts") == 3);
  REQUIRE(db.value<int>("SELECT count(*) FROM events") == 2);  // what was, and the resume
  REQUIRE(db.value<std::string>("SELECT text FROM events ORDER BY id DESC LIMIT 1") ==
          "resumed behind step 2; the rows of the 2 steps behind it are removed, and they are done "
          "again");
  REQUIRE(db.value<int>(
              "SELECT data ->> 'discarded_samples' FROM events ORDER BY id DESC LIMIT 1") == 8);
  REQUIRE(read_run(db, run)->config == "{\"steps\":4}");
  REQUIRE(read_run(db, other).has_value());
  REQUIRE(read_run(db, run)->status == "running");

  // The resumed run writes the same rows under the same ids as the run without a break.
  write_small_step(store, run, 3);
  write_small_step(store, run, 4);
  for (const char* table : {"samples", "prompts", "rewards", "metrics"}) {
    db.execute("ATTACH ? AS straight", (straight_folder.path() / kStoreFile).string());
    const std::string name = table;
    REQUIRE(db.value<int>("SELECT count(*) FROM (SELECT * FROM main." + name +
                          " EXCEPT SELECT * FROM straight." + name + ")") == 0);
    REQUIRE(db.value<int>("SELECT count(*) FROM " + name) ==
            db.value<int>("SELECT count(*) FROM straight." + name));
    db.execute("DETACH straight");
  }
}

TEST_CASE("a step is written once, and a second step waits for the first") {
  const TemporaryFolder folder;
  Store store(folder.path());
  const int64_t run = store.begin_run(small_run());
  write_small_step(store, run, 1);
  REQUIRE_THROWS_AS(write_small_step(store, run, 1), UserError);
  write_small_step(store, run, 2);
  StepWriter open(store, {run, "grpo", 3}, 2);
  REQUIRE_THROWS(StepWriter(store, {run, "grpo", 4}, 3));
  open.add_metric("loss", 1.0);
  open.commit({});
  REQUIRE(last_step(store.database(), run, "grpo")->key.step == 3);
}

TEST_CASE("a step that fails leaves nothing but its events") {
  const TemporaryFolder folder;
  Store store(folder.path());
  const int64_t run = store.begin_run(small_run());
  write_small_step(store, run, 1);
  {
    StepWriter writer(store, {run, "grpo", 2}, 1);
    writer.add_metric("loss", 3.0);
    store.add_event(run, EventLevel::error, "the loss is not a number", R"({"step":2})", 2);
  }
  Database db = open_for_reading(folder.path());
  REQUIRE_FALSE(has_step(db, {run, "grpo", 2}));
  REQUIRE(read_curve(db, run, "grpo", "loss").size() == 1);
  REQUIRE(db.value<std::string>("SELECT text FROM events") == "the loss is not a number");
  REQUIRE(db.value<int>("SELECT count(*) FROM events") == 1);
}

TEST_CASE("a stored sample can be scored again by another rule") {
  const TemporaryFolder folder;
  Store store(folder.path());
  const int64_t run = store.begin_run(small_run());
  write_small_step(store, run, 1);
  store.put_reward(1, {.rule = "math", .value = 0.0, .status = "wrong"});
  store.put_reward(1, {.rule = "math", .value = 1.0, .status = "ok"});
  const auto rewards = read_rewards(store.database(), 1);
  REQUIRE(rewards.size() == 3);
  REQUIRE(rewards[2].value == 1.0);
  REQUIRE(read_sample(store.database(), 1)->reward == 1.0);
}

TEST_CASE("removed checkpoints are not offered to a resume") {
  const TemporaryFolder folder;
  Store store(folder.path());
  const int64_t run = store.begin_run(small_run());
  for (int64_t step = 1; step <= 3; ++step) write_small_step(store, run, step, true);
  store.mark_checkpoint_removed(1);
  Database& db = store.database();
  REQUIRE(read_checkpoints(db, run).size() == 2);
  REQUIRE(last_checkpoint(db, run)->path == "checkpoints/3");
  REQUIRE(last_checkpoint(db, run)->trainer_state == R"({"epoch":0})");
}

TEST_CASE("lists of samples and groups read an index, not the rows with their blobs") {
  const TemporaryFolder folder;
  Store store(folder.path());
  const auto plan = [&](const std::string& query) {
    std::string text;
    store.database().for_each_row("EXPLAIN QUERY PLAN " + query, [&](const Statement& row) {
      text += row.get<std::string>(3) + "\n";
    });
    return text;
  };
  const std::string covering = "USING COVERING INDEX samples_at_a_glance";
  for (const char* query :
       {"SELECT * FROM sample_groups WHERE run_id = 1 AND kind = 'grpo' AND step = 3",
        "SELECT step, avg(reward), avg(tokens) FROM samples WHERE run_id = 1 AND kind = 'grpo'"
        " GROUP BY step",
        "SELECT id FROM samples WHERE run_id = 1 ORDER BY reward DESC LIMIT 5",
        "SELECT id FROM samples WHERE run_id = 1 AND truncated ORDER BY tokens DESC LIMIT 5"}) {
    INFO(query << "\n" << plan(query));
    CHECK(plan(query).find(covering) != std::string::npos);
  }
  CHECK(plan("SELECT count(*) FROM samples WHERE run_id = 1").find("COVERING INDEX") !=
        std::string::npos);
}

TEST_CASE(
    "the store knows how long a run held its devices, with the steps that a resume did again") {
  const TemporaryFolder folder;
  Store store(folder.path());
  NewRun row = small_run();
  row.environment = R"({"device":"cuda","devices":4})";
  const int64_t run = store.begin_run(row);
  Database& db = store.database();
  REQUIRE(db.value<int>("SELECT device_hours IS NULL FROM run_hours") == 1);
  for (int64_t step = 1; step <= 4; ++step) {
    write_small_step(store, run, step, step == 2);
    db.execute("UPDATE steps SET wall_seconds = 900 WHERE step = ?", step);
  }
  REQUIRE(db.value<double>("SELECT device_hours FROM run_hours") == 4.0);
  store.resume_run({.run_id = run, .step = 2, .command_line = "", .code_version = ""});
  REQUIRE(db.value<double>("SELECT seconds FROM run_hours") == 3600.0);  // two of them discarded
  REQUIRE(db.value<double>("SELECT device_hours FROM run_hours") == 4.0);
  REQUIRE(db.value<std::string>("SELECT device FROM run_hours") == "cuda");
}
