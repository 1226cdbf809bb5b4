// A rollout that waits for its step, as bytes: with --staleness a checkpoint falls between the two.
#pragma once

#include <string>
#include <string_view>

#include "grpo/group.h"

namespace temper {

// Everything that sampling and judging gave; nothing that a step adds (totals, advantages, old).
std::string batch_to_bytes(const StepBatch& batch);

// The same batch. Throws UserError naming `where` if the bytes are no such thing.
StepBatch batch_from_bytes(std::string_view bytes, const std::string& where);

}  // namespace temper
