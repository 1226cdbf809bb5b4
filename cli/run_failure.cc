#include "cli/run_failure.h"

namespace temper {

void record_failure(Store& store, int64_t run_id, const std::exception& error,
                    std::optional<int64_t> step) noexcept {
  try {
    store.add_event(run_id, EventLevel::error, error.what(), "{}", step);
  } catch (const std::exception&) {  // the database is out of reach
  }
}

}  // namespace temper
