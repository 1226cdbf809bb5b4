// `temper replay step`, `inspect prune` and --log-tokens on runs of a micro model.
#include "core/json.h"
#include "data/store_reader.h"
#include "tests/cli/micro_workshop.h"

using namespace temper;
using namespace temper::test;

namespace {

struct ReplayWorkshop : MicroWorkshop {
  std::string sql(const std::string& statement) const {
    Database db(path("run") / kStoreFile, OpenMode::write);
    return db.value<std::string>(statement).value_or("");
  }
  // Changes a row behind the run's back; returns what the replay of the step says of it.
  std::string tampered(const std::string& change, const std::string& back, int code) const {
    sql(change);
    const std::string said = ends(code, {"replay", "step", "run", "3", "--json"});
    sql(back);
    return said;
  }
};

}  // namespace

TEST_CASE("replay step: from a checkpoint, the same bits; a changed row is found and named") {
  const ReplayWorkshop shop;
  shop.ends(0, kMicroGrpo +
                   Arguments{"--steps", "4", "--save-every", "2", "--keep", "9", "--out", "run"});
  const std::string said = shop.ends(0, {"replay", "step", "run", "3"});
  CHECK(has(said, "from checkpoints/step-2"));
  CHECK(has(said, "equal bit for bit"));
  const Json json = parse_json(shop.run({"replay", "step", "run", "2", "--to", "4", "--json"}).out,
                               "replay step");
  CHECK(json["equal"].GetBool());
  CHECK(json["steps"].Size() == 4);  // from the beginning: no checkpoint is before step 2
  for (const JsonValue& step : json["steps"].GetArray())
    CHECK(std::string(step["weights"].GetString()).starts_with("xxh64:"));
  CHECK(shop.sql("SELECT count(DISTINCT weights_checksum) FROM steps") == "4");

  const std::string id = shop.sql("SELECT id FROM samples WHERE step = 3 AND advantage <> 0");
  const std::string row = " WHERE id = " + id;
  shop.sql("CREATE TABLE kept AS SELECT ids, advantage, reward FROM samples" + row);
  std::string found =
      shop.tampered("UPDATE samples SET advantage = advantage + 0.5" + row,
                    "UPDATE samples SET advantage = (SELECT advantage FROM kept)" + row, 1);
  CHECK(has(found, "sample " + id + " (group"));
  CHECK(has(found, "advantage"));
  CHECK(has(found, "DIFFER"));
  // The first token of a completion becomes another: its log-probability is no longer the stored.
  found =
      shop.tampered("UPDATE samples SET ids = CAST(x'41000000' || substr(ids, 5) AS BLOB)" + row,
                    "UPDATE samples SET ids = (SELECT ids FROM kept)" + row, 1);
  CHECK(has(found, "sample " + id + " (group"));
  CHECK(has(found, "trainer_logprobs[0]"));
  CHECK(has(found, "weights_checksum"));
  found =
      shop.tampered("UPDATE samples SET ids = CAST(x'ffffff7f' || substr(ids, 5) AS BLOB)" + row,
                    "UPDATE samples SET ids = (SELECT ids FROM kept)" + row, 2);
  CHECK(has(found, "sample " + id + " (step 3"));
  CHECK(has(found, "outside the vocabulary"));
  const std::string of_sample = " WHERE sample_id = " + id;
  found = shop.tampered("UPDATE rewards SET value = 7" + of_sample,
                        "UPDATE rewards SET value = (SELECT reward FROM kept)" + of_sample, 1);
  CHECK(has(found, "reward"));
  shop.sql("DROP TABLE kept");
  CHECK(has(shop.ends(0, {"replay", "step", "run", "3"}), "equal bit for bit"));
  shop.refused({"replay", "step", "run", "5"}, {"no such step", "from 1 to 4"});
  const auto file = shop.path("run/checkpoints/step-2/model.safetensors");
  std::filesystem::resize_file(file, std::filesystem::file_size(file) - 1);
  const std::string before = shop.ends(0, {"replay", "step", "run", "3"});
  CHECK(has(before, "step-2 is damaged"));
  CHECK(has(before, "from the model that the run began with"));
  std::filesystem::rename(shop.path("m"), shop.path("moved"));
  shop.refused({"replay", "step", "run", "1"}, {"the model that the run began with", "--model"});
  CHECK(has(shop.ends(0, {"replay", "step", "run", "1", "--model", "moved"}), "equal bit for bit"));
}

TEST_CASE("replay step: stale rollouts, corrections, several updates, a moving reference") {
  const ReplayWorkshop shop;
  shop.ends(0, kMicroGrpo + Arguments{"--steps",
                                      "4",
                                      "--out",
                                      "run",
                                      "--staleness",
                                      "1",
                                      "--mini-batches",
                                      "2",
                                      "--inner-epochs",
                                      "2",
                                      "--top-p",
                                      "0.9",
                                      "--keep-sampling-mask",
                                      "--kl-coef",
                                      "0.05",
                                      "--reference-every",
                                      "2",
                                      "--oversample",
                                      "1.5",
                                      "--clip-high",
                                      "0.001",
                                      "--clip-low",
                                      "0.001"});
  CHECK(has(shop.ends(0, {"replay", "step", "run", "4"}), "   4       12"));
  CHECK(shop.sql("SELECT count(*) > 0 FROM samples WHERE clips IS NOT NULL") == "1");
  // The clip rates of the metrics are those of the tokens.
  const Json tokens = parse_json(shop.run({"inspect", "sample", "run",
                                           shop.sql("SELECT id FROM samples WHERE clips IS NOT "
                                                    "NULL"),
                                           "--json", "--experts"})
                                     .out,
                                 "inspect sample");
  int64_t clipped = 0;
  for (const JsonValue& token : tokens["tokens"].GetArray()) {
    clipped += token["clip"].IsString();
    CHECK(token["entropy"].IsNumber());
  }
  CHECK(clipped > 0);
  CHECK(tokens["tokens"][0]["experts"].IsString());
}

TEST_CASE("replay step says what it cannot replay") {
  const ReplayWorkshop shop;
  shop.ends(0, kMicroSft + Arguments{"--max-steps", "1", "--out", "sft"});
  shop.refused({"replay", "step", "sft", "1"}, {"no GRPO run", "verify-resume"});
  shop.ends(0, kMicroGrpo + Arguments{"--steps", "2", "--out", "run", "--log-tokens", "3"});
  CHECK(shop.sql("SELECT group_concat(n) FROM (SELECT count(rollout_logprobs) AS n FROM samples"
                 " GROUP BY step)") == "3,3");
  CHECK(shop.sql("SELECT count(*) FROM samples WHERE rollout_logprob IS NULL"
                 " OR length(ids) <> 4 * tokens OR max_logprob_difference IS NULL"
                 " AND dropped IS NULL AND NOT zero_signal") == "0");
  shop.refused({"replay", "step", "run", "1"}, {"not all of its rollout was kept", "--log-tokens"});
  shop.refused(kMicroGrpo + Arguments{"--steps", "1", "--out", "x", "--log-tokens", "some"},
               {"--log-tokens", "all, none or a number"});
}

TEST_CASE("inspect prune says what is lost, does it when told, and a resume goes on") {
  const ReplayWorkshop shop;
  const Arguments grpo = kMicroGrpo + Arguments{"--out", "run"};
  shop.ends(0, grpo + Arguments{"--steps", "3"});
  const std::string warning = shop.ends(0, {"inspect", "prune", "run", "--keep-steps", "1"});
  CHECK(has(warning, "of 16 samples of run 1, steps up to 2"));
  CHECK(has(warning, "replay step can no longer train those steps again"));
  CHECK(has(warning, "nothing was changed"));
  CHECK(shop.sql("SELECT count(rollout_logprobs) FROM samples") == "24");
  CHECK(has(shop.ends(0, {"inspect", "prune", "run", "--keep-steps", "1", "--yes", "--json"}),
            R"("up_to_step":2,"samples":16,"pruned":true)"));
  CHECK(shop.sql("SELECT count(rollout_logprobs) FROM samples") == "8");
  CHECK(shop.sql("SELECT count(*) FROM prompt_experts WHERE step < 3") == "0");
  CHECK(shop.sql("SELECT count(*) FROM prompt_experts WHERE step = 3") == "2");
  CHECK(has(shop.ends(0, {"inspect", "events", "run"}), "pruned: the token arrays"));
  shop.ends(0, {"inspect", "prune", "run", "--what", "samples", "--keep-samples", "3", "--yes"});
  CHECK(shop.sql("SELECT group_concat(n) FROM (SELECT count(*) AS n FROM samples GROUP BY step)") ==
        "3,3,3");
  CHECK(shop.sql("SELECT count(*) FROM metrics WHERE name = 'grad_norm'") == "3");
  shop.refused({"replay", "step", "run", "3"}, {"not all of its rollout was kept", "3 of 8"});
  shop.ends(0, grpo + Arguments{"--steps", "4", "--resume"});
  CHECK(has(shop.ends(0, {"replay", "step", "run", "4"}), "equal bit for bit"));
  shop.refused({"inspect", "prune", "run", "--keep-samples", "3"}, {"--what samples"});
}
