// `temper inspect` on a small store, as a user types it.
#include <cmath>

#include "cli/inspect_table.h"
#include "core/file.h"
#include "core/file_lock.h"
#include "core/json.h"
#include "data/migrations.h"
#include "tests/data/store_fixture.h"
#include "tests/support/catch.h"
#include "tests/support/event_reader.h"
#include "tests/support/paths.h"
#include "tests/support/run_binary.h"
#include "tests/support/temporary_folder.h"

using namespace temper;

namespace {

bool contains(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

// A member as text: strings without quotes, all else as JSON writes it.
std::string field(const JsonValue& object, const char* key) {
  const JsonValue& value = object[key];
  return value.IsString() ? value.GetString() : to_text(value);
}

// A run of three GRPO steps, an eval and an event, and the means to inspect it.
struct Inspected {
  TemporaryFolder folder;
  std::filesystem::path path = folder.path() / "run";

  Inspected() {
    Store store(path);
    const int64_t run = store.begin_run(small_run());
    for (int64_t step = 1; step <= 3; ++step) write_small_step(store, run, step, step == 2);
    StepWriter writer(store, {run, "eval", 3}, 3);
    writer.add_eval({.task = "countdown",
                     .prompts = 50,
                     .max_new_tokens = 64,
                     .pass_at_1 = 0.5,
                     .standard_error = 0.07});
    writer.add_metric("broken", std::nan(""));
    writer.commit({});
    store.add_event(run, EventLevel::warning, "2 samples were cut off", "{}", 3);
    store.finish_run(run, RunStatus::done);
  }

  ProgramResult run(const std::string& what, std::vector<std::string> more = {}) const {
    std::vector<std::string> arguments{"inspect"};
    if (!what.empty()) arguments.push_back(what);
    arguments.push_back(path.string());
    arguments.insert(arguments.end(), more.begin(), more.end());
    return run_program(test::temper_binary(), arguments);
  }
  std::string text(const std::string& what, const std::vector<std::string>& more = {}) const {
    const ProgramResult result = run(what, more);
    INFO(result.err);
    REQUIRE(result.exit_code == 0);
    return result.out;
  }
  Json json(const std::string& what, std::vector<std::string> more = {}) const {
    more.push_back("--json");
    return parse_json(text(what, more), "inspect " + what);
  }
  std::string error(const std::string& what, const std::vector<std::string>& more = {}) const {
    const ProgramResult result = run(what, more);
    REQUIRE(result.exit_code == 2);
    REQUIRE(result.out.empty());
    return result.err;
  }
};

}  // namespace

TEST_CASE("inspect lists runs, evals and events") {
  const Inspected store;
  for (const char* what : {"", "runs"}) {
    const Json runs = store.json(what);
    REQUIRE(runs.Size() == 1);
    REQUIRE(field(runs[0], "status") == "done");
    REQUIRE(field(runs[0], "last_step") == "3");
    REQUIRE(field(runs[0], "samples") == "12");
    REQUIRE(field(runs[0], "checkpoints") == "1");
    REQUIRE(field(runs[0], "warnings") == "1");
    REQUIRE(runs[0]["device_hours"].IsNumber());
  }
  REQUIRE(contains(store.text("runs"), "models/tiny"));
  REQUIRE(field(store.json("evals")[0], "pass_at_1") == "0.5");
  REQUIRE(contains(store.text("events"), "2 samples were cut off"));
}

TEST_CASE("inspect curve draws each metric and names the known ones") {
  const Inspected store;
  const std::string text = store.text("curve", {"--metric", "lo*"});
  REQUIRE(contains(text, "█▃▁"));
  REQUIRE_FALSE(contains(text, "reward"));
  const Json all = store.json("curve");
  REQUIRE(all.Size() == 3);
  REQUIRE(field(all[0], "metric") == "broken");
  REQUIRE(all[0]["min"].IsNull());
  REQUIRE(field(all[0], "curve") == "x");
  REQUIRE(field(all[1], "metric") == "loss");
  REQUIRE(field(all[1], "max") == "1");
  const Json points = store.json("curve", {"--metric", "loss", "--points"});
  REQUIRE(points.Size() == 3);
  REQUIRE(field(points[1], "value") == "0.5");
  REQUIRE(contains(store.error("curve", {"--metric", "los"}), "broken, loss, reward"));
}

TEST_CASE("inspect samples orders and selects") {
  const Inspected store;
  REQUIRE(field(store.json("samples", {"--best", "12"})[0], "reward") == "1");
  const Json worst = store.json("samples", {"--worst", "3"});
  REQUIRE(worst.Size() == 3);
  for (const JsonValue& sample : worst.GetArray()) REQUIRE(field(sample, "reward") == "0");
  const Json truncated = store.json("samples", {"--truncated", "--step", "2"});
  REQUIRE(truncated.Size() == 1);
  REQUIRE(field(truncated[0], "id") == "6");
  REQUIRE(store.json("samples", {"--zero-signal", "--longest", "50"}).Size() == 6);
  REQUIRE(store.json("samples", {"--disagreeing"}).Size() == 3);
  REQUIRE(store.json("samples", {"--status", "wrong", "--rule", "countdown"}).Size() == 3);
  REQUIRE(store.json("samples", {"--status", "wrong", "--rule", "format"}).Size() == 0);
  const Json best = store.json("samples", {"--best", "1"});
  REQUIRE(field(best[0]["rewards"][0], "rule") == "countdown");
  REQUIRE(field(best[0]["rewards"][0], "status") == "ok");
  REQUIRE(contains(store.error("samples", {"--rule", "countdwn"}), "did you mean 'countdown'?"));
  REQUIRE(contains(store.error("samples", {"--status", "right"}), "one of ok, wrong"));
  const std::string text = store.text("samples", {"--worst", "1"});
  REQUIRE(contains(text, "sample 2  grpo step 1, group 0.1  reward 0  advantage -1"));
  REQUIRE(contains(text, "countdown: wrong, 0 x 1, answer 4"));
  REQUIRE(contains(text, "<think>x</think><answer>4</answer>"));
  REQUIRE(contains(store.error("samples", {"--best", "1", "--worst", "1"}), "only one of"));
}

TEST_CASE("inspect shows people six digits of a number, and programs all of them") {
  REQUIRE(cell_text(Cell(0.7245674373121768)) == "0.724567");
  REQUIRE(cell_text(Cell(1.499997000006)) == "1.5");
  REQUIRE(cell_text(Cell()) == "-");
  REQUIRE(cell_text(Cell(std::string("a long text")), 5) == "a lo\u2026");
  REQUIRE(json_value(Cell(0.7245674373121768)) == "0.7245674373121768");
}

TEST_CASE("inspect sample shows every token") {
  const Inspected store;
  const Json sample = store.json("sample", {"6", "--prompt-tokens"});
  REQUIRE(sample["truncated"].GetBool());
  REQUIRE(field(sample["rewards"][0], "rule") == "countdown");
  REQUIRE(sample["tokens"].Size() == 5);
  const JsonValue& token = sample["tokens"][3];
  REQUIRE(field(token, "position") == "3");
  REQUIRE(field(token, "id") == "6");
  REQUIRE(field(token, "difference") == "0.0625");
  REQUIRE(field(token, "advantage") == "-1");
  REQUIRE(token["text"].IsNull());  // the run's model folder is not here
  REQUIRE(contains(store.text("sample", {"6"}), "max |rollout - trainer| 0.0625 nats"));
  REQUIRE(contains(store.error("sample", {"600"}), "one of its 12 samples"));
  REQUIRE(contains(store.error("sample", {"6", "--model", "/nowhere"}), "/nowhere"));
}

TEST_CASE("inspect sample spells tokens with the tokenizer of a model folder") {
  const Inspected store;
  store.folder.write("tokenizer.json", R"({"model":{"type":"BPE","vocab":
      {"a":0,"b":1,"c":2,"d":3,"e":4,"Ċ":5,"Ġx":6,"é":7},"merges":[]},
      "pre_tokenizer":{"type":"ByteLevel","add_prefix_space":false},
      "decoder":{"type":"ByteLevel"},"added_tokens":[]})");
  const Json sample = store.json("sample", {"6", "--model", store.folder.path().string()});
  REQUIRE(field(sample["tokens"][0], "text") == "\\n");
  REQUIRE(field(sample["tokens"][1], "text") == " x");
  REQUIRE(field(sample["tokens"][2], "text") == "\\xe9");
}

TEST_CASE("inspect groups and verdicts count") {
  const Inspected store;
  const Json groups = store.json("groups", {"--zero-signal"});
  REQUIRE(groups.Size() == 3);
  REQUIRE(field(groups[0], "step") == "3");
  REQUIRE(field(groups[0], "group_index") == "1");
  const Json verdicts = store.json("verdicts", {"--kind", "grpo"});
  REQUIRE(verdicts.Size() == 3);
  REQUIRE(field(verdicts[1], "status") == "wrong");
  REQUIRE(field(verdicts[1], "samples") == "3");
  REQUIRE(field(verdicts[1], "percent") == "25");
}

TEST_CASE("inspect sql reads and cannot write") {
  const Inspected store;
  REQUIRE(store.text("sql", {"SELECT count(*) AS n FROM samples;"}) == " n\n12\n");
  const Json row = store.json("sql", {"SELECT ids, NULL AS n, 0.1 AS x, 'é\n' AS t FROM samples"});
  REQUIRE(field(row[0], "ids") == "050000000600000007000000");
  REQUIRE(row[0]["n"].IsNull());
  REQUIRE(field(row[0], "x") == "0.1");
  REQUIRE(field(row[0], "t") == "é\n");
  REQUIRE(store.text("sql", {"SELECT 'a\x1b[2J\n' AS t"}) == "t\na\\x1b[2J\\n\n");
  REQUIRE(contains(store.error("sql", {"DELETE FROM samples"}), "would change the database"));
  REQUIRE(contains(store.error("sql", {"SELECT 1; SELECT 2"}), "more than one statement"));
  REQUIRE(contains(store.error("sql", {"SELECT nope FROM samples"}), "no such column: nope"));
  REQUIRE(contains(store.error("sql", {"-- nothing"}), "no statement"));
  REQUIRE(field(store.json("runs")[0], "samples") == "12");
}

TEST_CASE("inspect says what is missing") {
  const Inspected store;
  REQUIRE(contains(store.error("curve", {"--run", "9"}), "no such run"));
  const ProgramResult absent = run_program(test::temper_binary(), {"inspect", "/nowhere/at/all"});
  REQUIRE(absent.exit_code == 2);
  REQUIRE(contains(absent.err, "no such database"));
  const ProgramResult above = run_program(test::temper_binary(), {"inspect", store.folder.path()});
  REQUIRE(contains(above.err, "there are runs in " + store.path.string()));
  const TemporaryFolder empty;
  { const Store nothing_yet(empty.path()); }
  REQUIRE(run_program(test::temper_binary(), {"inspect", empty.path().string()}).out ==
          "no run was recorded yet\n");
  REQUIRE(
      run_program(test::temper_binary(), {"inspect", "curve", empty.path().string()}).exit_code ==
      2);
}

TEST_CASE("inspect runs: a run that nobody is at work on any more was killed") {
  const TemporaryFolder folder;
  { Store(folder.path()).begin_run(small_run()); }
  const auto status = [&] {
    const Arguments runs{"inspect", "runs", folder.path(), "--json"};
    const ProgramResult result = run_program(test::temper_binary(), runs);
    return field(parse_json(result.out, "runs")[0], "status");
  };
  CHECK(status() == "killed");
  const FileLock lock(folder.path() / kLockFile);
  CHECK(status() == "running");
}

TEST_CASE("inspect reads an older database as it is, and migrate brings it forward") {
  const Inspected store;
  std::filesystem::remove_all(store.path);
  std::filesystem::create_directories(store.path);
  {
    Database old(store.path / kStoreFile, OpenMode::create);
    migrate(old, store_migrations().first(1));
    old.execute("INSERT INTO runs VALUES (7,'sft','done',1.0,2.0,'m',3,'v','[]','{}','{}','{}')");
  }
  const auto version = [&] {
    Database file(store.path / kStoreFile, OpenMode::read_only);
    return schema_version(file);
  };
  REQUIRE(field(store.json("runs")[0], "run") == "7");
  REQUIRE(contains(store.error("sql", {"DELETE FROM runs"}), "would change the database"));
  REQUIRE(version() == 1);
  const Inspected other;
  REQUIRE(contains(other.error("diff", {"--other", store.path}), "temper inspect migrate"));
  REQUIRE(contains(store.text("migrate"), "schema 1 -> "));
  REQUIRE(store.json("runs").Size() == 1);
}

TEST_CASE("inspect curve draws an SVG file on request") {
  const Inspected store;
  const std::filesystem::path file = store.folder.path() / "curves.svg";
  store.text("curve", {"--metric", "loss,reward", "--svg", file});
  const std::string svg = read_file(file);
  REQUIRE(contains(svg, "<svg"));
  REQUIRE(contains(svg, "grpo: loss"));
  REQUIRE(contains(svg, "<polyline points="));
}

TEST_CASE("inspect samples finds what a rule called right without the gold in the text") {
  const TemporaryFolder folder;
  {
    Store store(folder.path());
    const int64_t run = store.begin_run(small_run());
    StepWriter writer(store, {run, "grpo", 1}, 0);
    int64_t group = 0;
    const auto add = [&](const char* gold, const char* text, const char* math, const char* other) {
      const std::string key = "p" + std::to_string(group);
      NewSample row;
      row.prompt_id = writer.add_prompt({.key = key, .text = "?", .ids = {}, .reference = gold});
      row.group_index = group++;
      row.completion = text;
      row.finish_reason = "stop";
      const int64_t id = writer.add_sample(row);
      const auto value = [](const char* status) { return std::string(status) == "ok" ? 1.0 : 0.0; };
      writer.add_reward(id, {.rule = "format", .value = 1.0, .status = "ok"});
      writer.add_reward(id, {.rule = "math", .value = value(math), .status = math});
      writer.add_reward(id, {.rule = "judge", .value = value(other), .status = other});
    };
    add("so 6 * 7 = 42\n#### 1,042", "it is 1042", "ok", "ok");  // it occurs
    add("Paris", "the city is paris", "ok", "wrong");            // it occurs
    add("0.5", "\\boxed{1/2}", "ok", "ok");                      // equal, but otherwise written
    add("7", "no idea", "wrong", "wrong");                       // it does not count as right
    writer.commit({});
  }
  const auto ids = [&](const std::vector<std::string>& more) {
    std::vector<std::string> arguments{"inspect", "samples", folder.path(), "--json"};
    arguments.insert(arguments.end(), more.begin(), more.end());
    const Json rows = parse_json(run_program(test::temper_binary(), arguments).out, "samples");
    std::string text;
    for (const JsonValue& row : rows.GetArray()) text += field(row, "id") + " ";
    return text;
  };
  CHECK(ids({"--gold-not-in-text"}) == "3 ");
  CHECK(ids({"--disagreeing"}) == "2 4 ");
  CHECK(ids({"--disagreeing", "--rule", "math"}) == "2 4 ");
  CHECK(ids({"--disagreeing", "--rule", "judge", "--status", "ok"}) == "");
}

TEST_CASE("inspect sample colours tokens on a terminal, and never in a pipe") {
  const Inspected store;
  store.folder.write("tokenizer.json", R"({"model":{"type":"BPE","vocab":
      {"a":0,"b":1,"c":2,"d":3,"e":4,"f":5,"g":6,"h":7},"merges":[]},
      "pre_tokenizer":{"type":"ByteLevel","add_prefix_space":false},
      "decoder":{"type":"ByteLevel"},"added_tokens":[]})");
  const std::string model = store.folder.path();
  REQUIRE_FALSE(contains(store.text("sample", {"6", "--model", model}), "\x1b"));
  const std::string by_logprob =
      store.text("sample", {"6", "--model", model, "--colour", "always"});
  REQUIRE(contains(by_logprob, "p<0.5"));
  REQUIRE(contains(by_logprob, "f\x1b[38;5;255;48;5;52mg\x1b[0mh"));  // -0.5, -1, -0.25 nats
  const std::string by_ratio =
      store.text("sample", {"6", "--model", model, "--colour", "always", "--colour-by", "ratio"});
  REQUIRE(contains(by_ratio, "f\x1b[38;5;255;48;5;88mg\x1b[0mh"));  // -0.0625 at the second
  const std::string by_advantage = store.text(
      "sample", {"6", "--model", model, "--colour", "always", "--colour-by", "advantage"});
  REQUIRE(contains(by_advantage, "48;5;124mf"));
}

TEST_CASE("inspect diff compares the same prompts at two times") {
  const Inspected store;
  const Json ends = store.json("diff");
  REQUIRE(field(ends["summary"][0], "prompts") == "2");  // p2 and p3 came in two steps
  REQUIRE(field(ends["summary"][0], "worse") == "2");
  REQUIRE(field(ends["prompts"][0], "prompt") == "p2");
  REQUIRE(field(ends["prompts"][0], "change") == "-0.5");
  const Json steps = store.json("diff", {"--steps", "1,2-3"});
  REQUIRE(steps["prompts"].Size() == 1);
  REQUIRE(field(steps["prompts"][0], "step_b") == "2");
  REQUIRE(contains(store.text("diff", {"--steps", "1,3"}), "no prompt is in both"));
  const std::string one = store.text("diff", {"--prompt", "p3"});
  REQUIRE(contains(one, "b, the best: sample 9, step 3, reward 1"));
  REQUIRE(contains(one, "<answer>4</answer>"));
  const Json other = store.json("diff", {"--other", store.path, "--steps", "1,1"});
  REQUIRE(field(other["summary"][0], "change") == "0");
  REQUIRE(contains(store.error("diff", {"--steps", "1"}), "two steps or ranges"));
  REQUIRE(contains(store.error("diff", {"--other", "/nowhere"}), "/nowhere"));
}

TEST_CASE("inspect export writes JSONL and event files that read back") {
  const Inspected store;
  const std::filesystem::path out = store.folder.path() / "out";
  store.text("export", {"--as", "jsonl", "--out", out});
  std::istringstream rows(read_file(out / "samples.jsonl"));
  std::vector<Json> samples;
  for (std::string line; std::getline(rows, line);) samples.push_back(parse_json(line, "a row"));
  REQUIRE(samples.size() == 12);
  REQUIRE(field(samples[1], "completion") == "<think>x</think><answer>4</answer>");
  REQUIRE(samples[1]["rollout_logprobs"][1].GetDouble() == -1.0);
  REQUIRE(samples[1]["ids"][2].GetInt() == 7);
  REQUIRE(samples[1]["rewards"].Size() == 2);
  REQUIRE(contains(read_file(out / "metrics.jsonl"),
                   R"({"run":1,"kind":"eval","step":3,"name":"broken","value":null})"));
  REQUIRE(contains(read_file(out / "steps.jsonl"), R"("trained_tokens":12)"));
  REQUIRE(contains(store.error("export", {"--out", out}), "there already"));

  store.text("export", {"--as", "tensorboard", "--out", out});
  std::vector<test::ReadEvent> events;
  for (const auto& entry : std::filesystem::directory_iterator(out / "grpo-1"))
    events = test::read_events(read_file(entry.path()));
  REQUIRE(events.size() == 4);
  REQUIRE(events[0].file_version == "brain.Event:2");
  REQUIRE(events[2].step == 2);
  REQUIRE(events[2].scalars.at("loss") == 0.5f);
  REQUIRE(events[2].wall_time > 1.7e9);
  REQUIRE(std::filesystem::exists(out / "eval-1"));
}
