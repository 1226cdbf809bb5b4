// Rows of several kinds in one run: each judged by the rule that is for it.
#include "core/json.h"
#include "data/store_reader.h"
#include "tests/cli/micro_workshop.h"

using namespace temper;
using namespace temper::test;

namespace {

constexpr const char* kMixed =
    "regex(match=search;part=all)=1 for kind=letters,exact=1 as word for kind=word";

struct MixedWorkshop : MicroWorkshop {
  MixedWorkshop() {
    std::string rows;
    for (int i = 0; i < 6; ++i) {
      const std::string n = std::to_string(i);
      rows += R"({"prompt":"say )" + n + R"(","gold":"[a-m]","kind":"letters"})" + "\n";
      rows += R"({"prompt":"word )" + n + R"(","gold":"none","kind":"word"})" + "\n";
    }
    folder.write("mixed.jsonl", rows);
  }
};

const Arguments kRecipe{"grpo",        "--model",          "m",    "--data",
                        "mixed.jsonl", "--learning-rate",  "0.01", "--samples-per-prompt",
                        "4",           "--max-new-tokens", "6",    "--reward",
                        kMixed};

}  // namespace

TEST_CASE("mixed rewards: grpo judges each row by its rule, stores it, and replays the step") {
  const MixedWorkshop w;
  w.done(kRecipe + Arguments{"--prompts-per-step", "6", "--steps", "2", "--out", "r"});
  Database db = open_for_reading(w.path("r"));
  const auto count = [&](const std::string& sql) { return db.value<int64_t>(sql).value_or(-1); };
  CHECK(count("SELECT count(*) FROM samples WHERE dropped IS NULL") == 48);
  CHECK(count("SELECT count(*) FROM rewards") == 48);  // one verdict a sample
  CHECK(count("SELECT count(*) FROM rewards r JOIN samples s ON s.id = r.sample_id"
              " JOIN prompts p ON p.id = s.prompt_id"
              " WHERE (r.rule = 'word') <> (p.data ->> 'kind' = 'word')") == 0);
  CHECK(count("SELECT count(*) FROM metrics WHERE name = 'reward/word/mean'") == 2);
  CHECK(has(w.done({"replay", "step", "r", "2"}), "equal bit for bit"));
  CHECK(has(w.done({"replay", "reward", "r", "--reward", kMixed}), "word: 0 changed"));
}

TEST_CASE("mixed rewards: a staled run that was killed goes on to the same bits") {
  const MixedWorkshop w;
  const Arguments recipe = kRecipe + Arguments{"--prompts-per-step", "2", "--steps",     "4",
                                               "--save-every",       "2", "--staleness", "1"};
  w.done(recipe + Arguments{"--out", "whole"});
  w.done(recipe + Arguments{"--out", "again"});
  w.done({"grpo", "--out", "again", "--resume-from", "2"});
  CHECK(differing(w.path("whole"), w.path("again")).empty());
}

TEST_CASE("mixed rewards: an evaluation counts each problem by its own rule") {
  const MixedWorkshop w;
  for (const char* out : {"a", "b"})
    w.done({"eval", "--model", "m", "--data", "mixed.jsonl", "--reward", kMixed, "--samples", "2",
            "--max-new-tokens", "6", "--temperature", "1", "--out", out});
  Database db = open_for_reading(w.path("a"));
  CHECK(db.value<std::string>("SELECT details ->> 'right' FROM evals") == "regex,word");
  CHECK(db.value<double>("SELECT pass_at_1 FROM evals") ==
        Approx(db.value<double>("SELECT avg(status = 'ok') FROM rewards").value()));
  const std::string compared = w.done({"eval", "compare", "a", "b"});
  CHECK(has(compared, "12 problems of both, right by regex,word"));
  CHECK(has(compared, "difference +0.00 points"));
}

TEST_CASE("mixed rewards: rows of a kind that no rule is for end the run by name") {
  const MixedWorkshop w;
  w.folder.write("odd.jsonl", R"({"prompt":"a","gold":"b","kind":"riddle"})"
                              "\n");
  w.refused({"grpo", "--model", "m", "--data", "odd.jsonl", "--reward", kMixed, "--out", "o",
             "--samples-per-prompt", "2", "--max-new-tokens", "2", "--prompts-per-step", "1"},
            {"odd.jsonl:1", "no rule is for this row: regex is for kind, word is for kind"});
}
