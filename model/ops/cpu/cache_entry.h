// Cache entries of new tokens on the CPU. Contracts: model/ops/cache_entry.h, which has checked the
// arguments.
#pragma once

#include "model/ops/cache_entry.h"

namespace temper::cpu {

void write_mla_entry(Context& ctx, const MlaEntry& entry);
void write_gqa_entry(Context& ctx, const GqaEntry& entry);

}  // namespace temper::cpu
