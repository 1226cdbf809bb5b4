// rejection and distill as a user meets them.
#include <sstream>

#include "core/file.h"
#include "core/json.h"
#include "data/store_reader.h"
#include "tests/cli/workshop.h"
#include "tests/support/loopback_server.h"

using namespace temper;
namespace fs = std::filesystem;

namespace {

// A V3 teacher and a dense student with random weights, and a few sums.
struct SumsWorkshop : test::Workshop {
  SumsWorkshop() {
    done({"model", "init", "--preset", "tiny", "--out", "teacher", "--seed", "2"});
    done({"model", "init", "--preset", "tiny-dense", "--out", "student", "--seed", "3"});
    folder.write("sums.jsonl",
                 "{\"prompt\":\"1+1=?\",\"gold\":\"2\"}\n{\"prompt\":\"2+3=?\",\"gold\":\"5\"}\n"
                 "{\"prompt\":\"9+9=?\",\"gold\":\"18\"}\n");
  }
  std::vector<Json> rows(const std::string& file) const {
    std::vector<Json> out;
    std::istringstream lines(read_file(folder.path() / file));
    for (std::string line; std::getline(lines, line);) out.push_back(parse_json(line, file));
    return out;
  }
  Database database(const std::string& run) const { return open_for_reading(folder.path() / run); }
};

const Arguments kAny{"--reward",
                     "regex(pattern=\".\"; match=search; part=all)",
                     "--max-new-tokens",
                     "12",
                     "--samples",
                     "3",
                     "--keep-truncated",
                     "--max-repetition",
                     "1"};
const Arguments kTraining{"--max-steps", "3", "--batch-size", "2", "--learning-rate", "1e-3"};

int64_t metric(Database& db, const std::string& name) {
  return static_cast<int64_t>(
      db.value<double>("SELECT value FROM metrics WHERE name = ?", name).value_or(-1));
}

}  // namespace

TEST_CASE("rejection: a checkpoint's answers, filtered, counted and written in both forms") {
  const SumsWorkshop shop;
  const Arguments rejection =
      Arguments{"rejection",  "--teacher",    "teacher", "--data",
                "sums.jsonl", "--form",       "both",    "--prompts-per-step",
                "2",          "--per-prompt", "2",       "--out",
                "run"} +
      kAny;
  const std::string out = shop.done(rejection);
  CHECK_THAT(out, Contains("over quota") && Contains("kept"));
  Database db = shop.database("run");
  CHECK(db.value<int64_t>("SELECT count(*) FROM samples").value() == 9);
  CHECK(metric(db, "select/samples") == 9);
  const int64_t kept = metric(db, "select/kept");
  CHECK(kept == db.value<int64_t>("SELECT count(*) FROM samples WHERE dropped IS NULL").value());
  CHECK(metric(db, "select/dropped/over_quota") == 3);
  const std::vector<Json> rows = shop.rows("run/samples.jsonl");
  REQUIRE(static_cast<int64_t>(rows.size()) == 2 * kept);
  CHECK(rows[0]["messages"][0]["role"].GetString() == std::string("user"));
  CHECK(rows[1]["messages"][0]["role"].GetString() == std::string("system"));
  CHECK(rows[0]["gold"].GetString() == std::string("2"));
  const std::string stored = db.value<std::string>("SELECT completion FROM samples WHERE id = ?",
                                                   rows[0]["source"]["sample"].GetInt64())
                                 .value();
  CHECK(rows[0]["messages"][1]["content"].GetString() == stored);
  shop.refused(rejection, {"in use"});
  // A run without its last step goes on to the same rows.
  const std::string whole = read_file(shop.folder.path() / "run/samples.jsonl");
  {
    Database writer(store_path(shop.folder.path() / "run"), OpenMode::write);
    writer.run_script(
        "DELETE FROM steps WHERE kind = 'select' OR (kind = 'rejection' AND step = 2);"
        "UPDATE samples SET dropped = NULL, generate_seconds = 77");
    fs::remove(shop.folder.path() / "run/samples.jsonl");
  }
  shop.done(rejection + Arguments{"--resume"});
  std::string again = read_file(shop.folder.path() / "run/samples.jsonl");
  CHECK(again == whole);
  // What step 1 had sampled is still there, and was not sampled again.
  const std::string step_1 = "SELECT count(*) FROM samples WHERE step = 1";
  CHECK(db.value<int64_t>(step_1).value() > 0);
  CHECK(db.value<int64_t>(step_1 + " AND generate_seconds = 77") == db.value<int64_t>(step_1));
}

TEST_CASE("distill: recorded traces of which the right ones teach a dense student") {
  const SumsWorkshop shop;
  std::string traces;
  for (const char* sum : {"1+1|2", "2+3|5", "9+9|18", "4+4|8"}) {
    const std::string text = sum;
    const std::string problem = text.substr(0, 3), gold = text.substr(4);
    traces += "{\"problem\":\"" + problem + "=?\",\"gold\":\"" + gold +
              "\",\"generations\":[\"<think>" + problem + "</think><answer>" + gold +
              "</answer>\",\"<think>hm</think><answer>7</answer>\"]}\n";
  }
  shop.folder.write("traces.jsonl", traces);
  shop.folder.write("test.jsonl", "{\"problem\":\"9 + 9 = ?\"}\n");
  const std::string out = shop.done(Arguments{"distill", "--teacher", "traces.jsonl", "--student",
                                              "student", "--reward", "math=1,format=0.2",
                                              "--decontaminate", "test.jsonl", "--out", "run"} +
                                    kTraining);
  CHECK_THAT(out, Contains("not right") && Contains("contaminated"));
  Database teacher = shop.database("run/teacher");
  CHECK(metric(teacher, "select/dropped/not_right") == 4);
  CHECK(metric(teacher, "select/dropped/contaminated") == 1);
  CHECK(metric(teacher, "select/kept") == 3);
  Database db = shop.database("run");
  CHECK(db.value<int64_t>("SELECT count(*) FROM steps WHERE kind = 'sft'").value() == 3);
  CHECK(fs::exists(shop.folder.path() / "run/model/config.json"));
}

TEST_CASE("distill: an OpenAI-compatible server teaches") {
  const SumsWorkshop shop;
  test::LoopbackServer server([](const std::string& body, const std::string&) {
    const bool first = body.find("1+1") != std::string::npos;
    return test::ServedAnswer{
        200, std::string("{\"choices\":[{\"finish_reason\":\"stop\",\"message\":{\"content\":\"") +
                 (first ? "So \\\\boxed{2}" : "It is \\\\boxed{5}, no doubt") + "\"}}]}"};
  });
  shop.folder.write("other.jsonl", "{\"prompt\":\"a\",\"completion\":\"b\"}\n");
  shop.done(Arguments{"distill", "--mix", "other.jsonl:0.25", "--teacher", server.url(),
                      "--student", "student", "--data", "sums.jsonl", "--reward", "math",
                      "--samples", "1", "--out", "run"} +
            kTraining);
  CHECK(server.requests() == 3);
  CHECK(shop.rows("run/teacher/samples.jsonl").size() == 2);
}

TEST_CASE("distill by logits: KL to the teacher falls, also on the student's own answers") {
  const SumsWorkshop shop;
  const Arguments common =
      Arguments{"distill", "--teacher", "teacher", "--student", "student", "--data", "sums.jsonl"} +
      kAny + Arguments{"--batch-size", "3", "--learning-rate", "3e-3"};
  shop.done(common + Arguments{"--loss", "forward-kl", "--max-steps", "12", "--out", "forward"});
  shop.done(common + Arguments{"--loss", "reverse-kl", "--on-policy", "--max-steps", "12", "--out",
                               "on-policy"});
  for (const char* run : {"forward", "on-policy"}) {
    Database db = shop.database(run);
    std::vector<double> kl;
    for (const CurvePoint& p : read_curve(db, 1, "distill", "kl")) kl.push_back(p.value);
    REQUIRE(kl.size() == 12);
    CHECK(kl.back() < 0.8 * kl.front());
    CHECK(fs::exists(shop.folder.path() / run / "model/model.safetensors"));
  }
  CHECK(
      shop.database("on-policy").value<int64_t>("SELECT sum(generated_tokens) FROM steps").value() >
      0);
}

TEST_CASE("distill: the memory plan has the cache that the student's own answers may have") {
  const SumsWorkshop shop;
  const Arguments own =
      Arguments{"distill", "--teacher", "teacher", "--student", "student", "--data", "sums.jsonl"} +
      kAny +
      Arguments{"--loss", "reverse-kl", "--on-policy", "--max-steps", "1", "--batch", "2048"};
  const auto planned = [&](const Arguments& more) { return shop.ended(0, own + more).err; };
  CHECK_THAT(planned({"--out", "small", "--cache-memory", "1"}),
             Contains("rollout KV cache                    1.0 MiB"));
  CHECK_THAT(planned({"--out", "whole"}), !Contains("rollout KV cache                    1.0 MiB"));
}

TEST_CASE("distill goes on where it was cut off, to the same bytes") {
  const SumsWorkshop shop;
  const Arguments common =
      Arguments{"distill",    "--teacher",    "teacher", "--student", "student",   "--data",
                "sums.jsonl", "--save-every", "2",       "--loss",    "forward-kl"} +
      kAny + Arguments{"--max-steps", "4", "--batch-size", "2", "--learning-rate", "1e-3"};
  shop.done(common + Arguments{"--out", "whole"});
  shop.done(common + Arguments{"--out", "cut"});
  {  // as if it had been killed behind its second step
    Database db(store_path(shop.folder.path() / "cut"), OpenMode::write);
    db.run_script(
        "UPDATE runs SET status = 'running', finished = NULL;"
        "DELETE FROM steps WHERE kind = 'distill' AND step > 2");
  }
  shop.done(common + Arguments{"--out", "cut", "--resume"});
  const auto weights = [&](const char* run) {
    return read_file(shop.folder.path() / run / "model/model.safetensors");
  };
  CHECK(weights("cut") == weights("whole"));
  CHECK(shop.database("cut")
            .value<int64_t>("SELECT count(*) FROM steps WHERE kind = 'distill'")
            .value() == 4);
  shop.done(common + Arguments{"--out", "cut", "--resume"});  // nothing is left to do
  shop.done(common + Arguments{"--out", "cut", "--resume-from", "2"});
  CHECK(weights("cut") == weights("whole"));
}

TEST_CASE("what cannot teach is refused by name") {
  const SumsWorkshop shop;
  const Arguments common{"distill", "--student", "student", "--reward", "math", "--out", "run"};
  shop.refused(common + Arguments{"--teacher", "nobody", "--data", "sums.jsonl"}, {"nobody"});
  shop.refused(common + Arguments{"--teacher", "teacher"}, {"--data"});
  shop.folder.write("t.jsonl", "{\"problem\":\"1+1\",\"gold\":\"2\",\"response\":\"3\"}\n");
  shop.refused(common + Arguments{"--teacher", "t.jsonl", "--loss", "forward-kl"}, {"checkpoint"});
  shop.refused(common + Arguments{"--teacher", "teacher", "--data", "sums.jsonl", "--on-policy"},
               {"--on-policy"});
  shop.refused(common + Arguments{"--teacher", "t.jsonl"}, {"not right"});
  // A teacher whose vocabulary says other words under the same ids.
  fs::copy(shop.folder.path() / "teacher", shop.folder.path() / "other");
  std::string tokenizer = read_file(shop.folder.path() / "other/tokenizer.json");
  const size_t at = tokenizer.find("<think>");
  REQUIRE(at != std::string::npos);
  while (tokenizer.find("<think>") != std::string::npos)
    tokenizer.replace(tokenizer.find("<think>"), 7, "<ponder>");
  write_file_atomically(shop.folder.path() / "other/tokenizer.json", tokenizer);
  shop.refused(common + Arguments{"--teacher", "other", "--data", "sums.jsonl", "--loss",
                                  "reverse-kl", "--on-policy"},
               {"different tokenizers"});
  const Arguments fresh{"distill", "--student", "student", "--reward",   "math",
                        "--out",   "fresh",     "--data",  "sums.jsonl", "--teacher"};
  shop.refused(fresh + Arguments{"other", "--loss", "reverse-kl"}, {"different tokenizers"});
  CHECK_FALSE(fs::exists(shop.folder.path() / "fresh"));  // said before the teacher worked
  shop.refused(fresh + Arguments{"http://127.0.0.1:1/v1", "--server-model", "x", "--retries", "0"},
               {"see that the server runs"}, 1);
}

TEST_CASE("sft mixes files by weight") {
  const SumsWorkshop shop;
  std::string rows;
  for (int i = 0; i < 8; ++i)
    rows += "{\"prompt\":\"" + std::to_string(i) + "\",\"completion\":\"x\"}\n";
  shop.folder.write("a.jsonl", rows);
  shop.folder.write("b.jsonl", rows + rows);
  const Arguments sft = Arguments{"sft", "--model", "student", "--out", "run"} + kTraining;
  const ProgramResult mixed =
      shop.run(sft + Arguments{"--data", "a.jsonl:0.75", "--data", "b.jsonl:0.25"});
  INFO(mixed.err);
  REQUIRE(mixed.exit_code == 0);
  CHECK_THAT(mixed.err, Contains("18 of 8 samples of a.jsonl"));
  CHECK_THAT(mixed.err, Contains("6 of 16 samples of b.jsonl"));
  CHECK_THAT(shop.database("run").value<std::string>("SELECT data_hashes FROM runs").value(),
             Contains("\"a.jsonl\""));
  shop.refused(sft + Arguments{"--data", "a.jsonl:0.75", "--data", "b.jsonl"}, {"weight"});
}
