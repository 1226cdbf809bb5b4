// What data hands to the stages: one tokenised sample, one conversation, one prompt with its gold.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace temper {

// One turn of a conversation. `role` is system, user or assistant.
struct Message {
  std::string role;
  std::string content;
};

using Conversation = std::vector<Message>;

// A tokenised training sample.
// Shapes: ids [T]; mask [T], where mask[t] = 1 says that the loss counts token t, predicted from
// the tokens before it. mask[0] is always 0.
struct Sample {
  std::vector<int32_t> ids;
  std::vector<uint8_t> mask;

  // How many tokens the loss counts.
  int64_t targets() const {
    int64_t count = 0;
    for (const uint8_t m : mask) count += m;
    return count;
  }
};

// One prompt of rollout, GRPO or eval, before and after tokenisation.
struct Prompt {
  std::string id;            // the row's own id, or "<file>:<line>"
  Conversation messages;     // the conversation up to the answer that is wanted
  std::vector<int32_t> ids;  // the tokens the model continues
  std::string text;          // the rendered text of `ids`
  std::string gold;          // the reference answer a rule reward checks against; may be empty
  std::string extra;         // the whole row as JSON text, for rewards that need more than `gold`
};

}  // namespace temper
