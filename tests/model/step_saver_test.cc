// What is saved when a step fails, and what is not.
#include "model/training/step_saver.h"

#include "tests/support/catch.h"
#include "tests/support/stage_run.h"

using namespace temper;

namespace {

// A run with two committed steps, of which none is saved.
struct Saving : test::StageRun {
  Saving() : StageRun("sft"), config(small_gqa_config()), weights(random()) {
    for (int64_t step : {1, 2}) StepWriter(store, {id, "sft", step}, step - 1).commit({});
  }
  OwnedWeights random() {
    OwnedWeights w = allocate_weights(config, DType::f32);
    initialize_weights(w.view, config, 3);
    return w;
  }
  StepSaver saver() {
    return StepSaver({store,
                      {id, "sft", 0},
                      train,
                      [this] { return gives_numbers(train, weights.view, ids); },
                      [this](StepWriter& writer, int64_t step) {
                        if (disk_is_full) throw SystemError("no space left");
                        writer.add_checkpoint({.path = "step-" + std::to_string(step)});
                      }});
  }
  // What the third step fails with.
  template <class Error>
  std::string fails(const Error& error, bool after_update = false) {
    StepSaver s = saver();
    try {
      s.attempt(2, [&] {
        if (after_update) ++train.optimizer().step;
        throw error;
      });
    } catch (const StepError& e) {
      CHECK(e.step == 3);
      return e.what();
    } catch (const SystemError& e) {
      return e.what();
    }
    return "";
  }
  int64_t events() { return *store.database().value<int64_t>("SELECT count(*) FROM events"); }

  ModelConfig config;
  Context ctx{1};
  OwnedWeights weights;
  TrainStep train{ctx, config, weights, {}};
  std::vector<int32_t> ids{1, 2, 3};
  bool disk_is_full = false;
};

}  // namespace

TEST_CASE("saver: a step that fails before its update leaves the one before it saved") {
  Saving run;
  const std::string said = run.fails(UserError({.what = "the loss is not finite"}));
  CHECK(said.find("step 3") != std::string::npos);
  CHECK(run.checkpoint_steps() == std::vector<int64_t>{2});
  CHECK(run.events() == 0);
}

TEST_CASE("saver: so does one that fails by the machine's fault, and a place stays as it is") {
  Saving run;
  CHECK(run.fails(SystemError("out of memory")) == "out of memory");
  CHECK(run.checkpoint_steps() == std::vector<int64_t>{2});
  Saving other;
  const std::string said = other.fails(UserError({.what = "no", .where = "--reward"}));
  CHECK(said.find("step 3") == std::string::npos);
}

TEST_CASE("saver: weights that are no longer the committed step's are not saved as such") {
  Saving run;
  CHECK_FALSE(run.fails(UserError({.what = "x"}), true).empty());
  CHECK(run.checkpoint_steps().empty());
}

TEST_CASE("saver: a broken model is never saved") {
  Saving run;
  run.weights.view.norm.get<float>()[0] = std::nanf("");
  CHECK_FALSE(gives_numbers(run.train, run.weights.view, run.ids));
  CHECK_FALSE(run.fails(UserError({.what = "x"})).empty());
  CHECK(run.checkpoint_steps().empty());
  CHECK(run.events() == 1);  // says why
  StepSaver saver = run.saver();
  StepWriter writer(run.store, {run.id, "sft", 3}, 2);
  saver.save(writer);
  writer.commit({});
  CHECK(run.checkpoint_steps().empty());
  CHECK(run.committed_steps() == 3);
  CHECK_THROWS_WITH(saver.check(), Contains("step 3") && Contains("not saved"));
}

TEST_CASE("saver: what goes wrong in saving hides no error") {
  Saving run;
  run.disk_is_full = true;
  CHECK(run.fails(UserError({.what = "the loss is not finite"})).find("the loss") !=
        std::string::npos);
  CHECK(run.store.database()
            .value<std::string>("SELECT text FROM events")
            .value()
            .find("no space left") != std::string::npos);
}
