// The pre-tokenizer of a tokenizer.json: cuts text into pieces that merges never cross.
#pragma once

#include <string>
#include <vector>

#include "core/json.h"
#include "core/regex.h"
#include "data/aligned_text.h"

namespace temper {

// Supports Sequence, Split, Digits, ByteLevel, Metaspace, Punctuation and WhitespaceSplit.
// Immutable after construction.
class PreTokenizer {
 public:
  PreTokenizer() = default;  // one piece: the whole text

  // Reads the `pre_tokenizer` member of a tokenizer.json; null means one piece.
  // Throws UserError naming `where` for kinds and behaviours that Temper does not know.
  PreTokenizer(const JsonValue* json, const std::string& where);

  // Whether a ByteLevel step maps the text to GPT-2's byte alphabet. The text itself stays bytes
  // here: the vocabulary is mapped back to bytes instead.
  bool byte_level() const { return byte_level_; }

  // Cuts `text` (which may gain blanks) into `pieces`, none of them empty, in order.
  void apply(AlignedText& text, std::vector<TextRange>& pieces, Regex::Scratch& scratch) const;

 private:
  enum class Behavior { isolated, removed, contiguous, merged_with_previous, merged_with_next };
  enum class Prefix { never, first, always };
  struct Step {
    std::vector<Regex> regex;  // the pattern of a split; none: `literal`
    std::string literal;
    bool split = true;
    bool invert = false;
    Behavior behavior = Behavior::isolated;
    Prefix prefix = Prefix::never;  // whether a piece gets `prefix_text` in front
    std::string prefix_text;
    bool blanks_to_prefix = false;  // Metaspace: each blank becomes prefix_text
  };
  struct Part {
    TextRange range;
    bool match;
  };

  void read(const JsonValue& json, const std::string& where);
  void read_byte_level(const JsonValue& json);
  void read_metaspace(const JsonValue& json, const std::string& where);
  static Behavior behavior_of(const JsonValue& json, const std::string& where);
  static void rewrite(const Step& step, AlignedText& text, std::vector<TextRange>& pieces);
  static void split(const Step& step, std::string_view text, TextRange piece,
                    std::vector<TextRange>& out, Regex::Scratch& scratch);

  std::vector<Step> steps_;
  bool byte_level_ = false;
};

}  // namespace temper
