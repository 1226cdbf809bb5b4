// What an error that ends a run leaves in its database.
#pragma once

#include <exception>
#include <optional>
#include <string>

#include "data/store.h"

namespace temper {

// Adds the error to the run's events, with `data`, a JSON object. An error in doing so is passed
// over: the one that ends the run says more.
void record_failure(Store& store, int64_t run_id, const std::exception& error,
                    std::optional<int64_t> step = {}, const std::string& data = "{}") noexcept;

// Returns body(); an exception of it is recorded first.
template <class Body>
auto recording_failure(Store& store, int64_t run_id, Body&& body) {
  try {
    return body();
  } catch (const std::exception& error) {
    record_failure(store, run_id, error);
    throw;
  }
}

}  // namespace temper
