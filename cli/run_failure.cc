#include "cli/run_failure.h"

namespace temper {

void record_failure(Store& store, int64_t run_id, const std::exception& error,
                    std::optional<int64_t> step, const std::string& data) noexcept {
  try {
    store.add_event(run_id, EventLevel::error, error.what(), data, step);
  } catch (const std::exception&) {  // the database is out of reach
  }
}

}  // namespace temper
