// Whether two models read the same ids: what comparing their logits needs.
#pragma once

#include "data/tokenizer.h"

namespace temper {

// Throws UserError naming the first difference unless both have the same token for every id.
void check_tokenizers_agree(const Tokenizer& teacher, const Tokenizer& student);

}  // namespace temper
