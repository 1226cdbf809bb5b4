// Conversations as the text a model was trained on, with the part that a loss may count.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "data/sample.h"
#include "data/tokenizer.h"

namespace temper {

// A stretch of rendered text. `loss`: written by the assistant, so training counts it.
struct Segment {
  std::string text;
  bool loss = false;
};

struct RenderOptions {
  // End with what stands before an answer, so that the model writes one.
  bool add_generation_prompt = false;
  // The text is trained on. Only deepseek_r1 differs: the answers after the last user turn keep
  // their reasoning, and answers whose reasoning was dropped carry no loss.
  bool training = false;
};

// How one template writes a conversation; the table of them is in chat_template_table.cc.
struct TemplateSpec {
  std::string id = {};
  std::string about = {};   // one line for help
  std::string prefix = {};  // before everything; {bos} is the tokenizer's BOS where it adds one
  std::string default_system = {};  // stands in where the conversation has no system message
  std::string system_begin = {}, system_end = {};
  std::string user_begin = {}, user_end = {};
  std::string assistant_begin = {};
  std::string stop = {};           // ends an answer, inside the loss; {eos} is the tokenizer's EOS
  std::string assistant_end = {};  // behind it, outside the loss
  std::string generation = {};     // the generation prompt
  bool systems_first = false;      // all system messages, joined, stand before the first turn
  bool no_system = false;          // there is no place for a system message
  bool trims = false;              // contents lose their white space at both ends
  bool drops_reasoning = false;    // answers lose all up to their last </think>
  std::vector<std::string> needs = {};  // tokens without which it makes no sense
};

// A chat template for one tokenizer. Immutable.
class ChatTemplate {
 public:
  // The template called `id`. Throws UserError listing the ids if there is none of that name, and
  // if the tokenizer lacks a token that it needs.
  ChatTemplate(std::string_view id, const Tokenizer& tokenizer);

  // `id`, or where it is empty the one that fits the model's own chat template (Jinja), which is
  // recognised by what it contains, never executed; a model without one gets `raw`.
  // Throws UserError asking for the flag --template if the model's is not a known one.
  static ChatTemplate choose(const std::string& id, const Tokenizer& tokenizer);

  // The id of the known template that this Jinja text is, or "".
  static std::string recognise(std::string_view jinja);
  // Every known template, in the order of the documentation.
  static const std::vector<TemplateSpec>& all();

  const std::string& id() const { return spec_.id; }
  // The text that ends an answer, "" if the tokenizer has no EOS.
  const std::string& stop_text() const { return spec_.stop; }
  // The id that ends an answer, or -1 if the stop text is not one token.
  int32_t stop_id() const { return stop_id_; }

  // Throws UserError for a role that is not system, user or assistant.
  std::vector<Segment> render(const Conversation& messages, RenderOptions options = {}) const;

 private:
  void add_answer(const Message& message, bool keep_reasoning, RenderOptions options,
                  std::vector<Segment>& out) const;

  TemplateSpec spec_;
  int32_t stop_id_ = -1;
};

// The text of all segments.
std::string join_segments(const std::vector<Segment>& segments);

// Encodes the text of all segments as one (merges may cross a border, as in transformers). A token
// counts in the loss if its first byte lies in a segment that does; the first token never counts.
Sample encode_segments(const Tokenizer& tokenizer, const std::vector<Segment>& segments);

}  // namespace temper
