// The normalizer of a tokenizer.json: text changes before anything is split.
#pragma once

#include <string>
#include <vector>

#include "core/json.h"
#include "core/regex.h"
#include "data/aligned_text.h"
#include "data/unicode_nfc.h"

namespace temper {

// Supports Sequence, Prepend, Replace, NFC and Strip. Immutable after construction.
class Normalizer {
 public:
  Normalizer() = default;  // changes nothing

  // Reads the `normalizer` member of a tokenizer.json; null means that nothing is changed.
  // Throws UserError naming `where` for kinds that Temper does not know.
  Normalizer(const JsonValue* json, const std::string& where);

  bool is_identity() const { return steps_.empty(); }
  void apply(AlignedText& text, Regex::Scratch& scratch) const;  // in place; origins go along

 private:
  enum class Kind { prepend, replace, nfc, strip };
  struct Step {
    Kind kind;
    std::string literal;               // replace: what to look for, where it is no pattern
    std::vector<Regex> regex;          // replace: the pattern, if any
    std::vector<Nfc> nfc;              // one, where the kind is nfc
    std::string content;               // prepend, replace: what to put
    bool left = false, right = false;  // strip
  };

  void read(const JsonValue& json, const std::string& where);
  static void replace(const Step& step, AlignedText& text, Regex::Scratch& scratch);
  static void strip(const Step& step, AlignedText& text);

  std::vector<Step> steps_;
};

}  // namespace temper
