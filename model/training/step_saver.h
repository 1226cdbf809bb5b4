// When a run's checkpoints are written: behind whole steps, also when the next one fails, and never
// of a model that an update has broken.
#pragma once

#include <functional>
#include <span>

#include "core/error.h"
#include "data/store_step.h"
#include "model/training/train_step.h"

namespace temper {

// Whether the weights still give finite log-probabilities of `ids` (of the first 64).
bool gives_numbers(TrainStep& train, const ModelWeights& weights, std::span<const int32_t> ids);

// What a training loop saves by; all references outlive it.
struct StepSaverJob {
  Store& store;
  StepKey begun;  // the run, and the step that it goes on behind: 0, or the resumed checkpoint's
  TrainStep& train;
  std::function<bool()> sound;  // whether the model still gives numbers
  // Writes the checkpoint of the writer's step and its row.
  std::function<void(StepWriter&, int64_t)> save;
  bool enabled = true;  // false: nothing is ever saved
};

// What ended a run in a step. `data`, a JSON object, goes with it among the run's events: what
// there is to look at of a step that is not recorded.
class StepError : public UserError {
 public:
  StepError(Blame blame, int64_t at, std::string json = "{}")
      : UserError(std::move(blame)), step(at), data(std::move(json)) {}
  int64_t step;
  std::string data;
};

class StepSaver {
 public:
  explicit StepSaver(StepSaverJob job) : job_(std::move(job)), saved_(job_.begun.step) {}

  // Saves the checkpoint of the open step, but not if the model gives no numbers any more: check()
  // says so when the rest of the step, which shows why, is committed.
  void save(StepWriter& writer);
  // Throws StepError if the last save found the model broken.
  void check() const;
  // Adds the checkpoint of the committed step `step`, unless it has one.
  void save_committed(int64_t step);

  // Runs `body`, which makes the step behind the committed step `last` and leaves no step open. If
  // it throws and the weights are still those of `last`, their checkpoint is saved first. A
  // UserError becomes a StepError, with the step as its place where it had none.
  template <class Body>
  void attempt(int64_t last, Body&& body) {
    const int64_t updates = job_.train.optimizer().step;
    try {
      body();
    } catch (const StepError&) {
      rescue(last, updates);
      throw;
    } catch (const UserError& error) {
      rescue(last, updates);
      throw in_step(error.blame(), last + 1);
    } catch (const std::exception&) {
      rescue(last, updates);
      throw;
    }
  }

 private:
  static StepError in_step(Blame blame, int64_t step);
  void rescue(int64_t last, int64_t updates);

  StepSaverJob job_;
  int64_t saved_;
  int64_t broken_ = 0;  // the step whose update broke the model
};

}  // namespace temper
