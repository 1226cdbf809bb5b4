// Cache entries of new tokens on the GPU. Contracts: model/ops/cache_entry.h, which has checked the
// arguments.
#pragma once

#include "model/ops/cache_entry.h"

namespace temper::cuda {

void write_mla_entry(Context& ctx, const MlaEntry& entry);
bool write_mla_query(Context& ctx, const MlaQuery& query);
template <DType kNarrow>  // where the numbers are of that type
bool write_mla_query_of(Context& ctx, const MlaQuery& query);
void write_gqa_entry(Context& ctx, const GqaEntry& entry);

}  // namespace temper::cuda
