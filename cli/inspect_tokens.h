// A sample's tokens: a row each, or as coloured text.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "cli/inspect_table.h"
#include "data/store_reader.h"
#include "data/tokenizer.h"

namespace temper {

// What colours a token: how unlikely it was, its advantage, how far the trainer is from the
// rollout, or how open the choice was.
enum class TokenColour { logprob, advantage, ratio, entropy };

struct TokensOf {
  const SampleRow& sample;
  const PromptRow& prompt;
  const Tokenizer* tokenizer;  // nullptr: ids only
  int64_t experts_per_layer;   // of the trace; 0: layers are not told apart
};

// A row a token. Columns: position, id, text, mask, the log-probabilities, entropy, the difference
// rollout - trainer, ratio exp(trainer - rollout), clip (low, high, dual, off: what bound it in an
// update), advantage; with `experts` those of each MoE layer, layers parted by |.
Table token_table(const TokensOf& of, bool prompt_tokens, bool experts);

// The completion with each token on a background of its value's colour. Needs a tokenizer.
std::string coloured_completion(const TokensOf& of, TokenColour colour);

// What the shades of coloured_completion() say, in a line.
std::string legend_of(TokenColour colour);

}  // namespace temper
