// Contract of the parts of tokenization, on small tokenizers written here.
#include <algorithm>
#include <fstream>

#include "core/error.h"
#include "core/random.h"
#include "core/utf8.h"
#include "data/added_tokens.h"
#include "data/aligned_text.h"
#include "data/bpe.h"
#include "data/normalizer.h"
#include "data/pre_tokenizer.h"
#include "data/tokenizer_parts.h"
#include "tests/support/catch.h"
#include "tests/support/temporary_folder.h"

using namespace temper;

namespace {

using Pieces = std::vector<std::string>;

Pieces pieces_of(const std::string& pre_tokenizer, const std::string& text) {
  const Json json = parse_json(pre_tokenizer, "test");
  const PreTokenizer splitter(&json, "test");
  Regex::Scratch scratch;
  AlignedText aligned{text, {}, 0};
  std::vector<TextRange> ranges;
  splitter.apply(aligned, ranges, scratch);
  Pieces pieces;
  for (const TextRange range : ranges) pieces.emplace_back(aligned.part(range));
  return pieces;
}

Pieces split_with(const std::string& behavior, const std::string& text, bool invert = false) {
  return pieces_of(R"({"type":"Split","pattern":{"String":"-"},"invert":)" +
                       std::string(invert ? "true" : "false") + R"(,"behavior":")" + behavior +
                       "\"}",
                   text);
}

std::string normalized(const std::string& normalizer, const std::string& text) {
  const Json json = parse_json(normalizer, "test");
  Regex::Scratch scratch;
  AlignedText aligned{text, {}, 0};
  Normalizer(&json, "test").apply(aligned, scratch);
  if (!aligned.origin.empty()) REQUIRE(aligned.origin.size() == aligned.text.size() + 1);
  return aligned.text;
}

}  // namespace

TEST_CASE("split behaviours") {
  // As Hugging Face's documentation of SplitDelimiterBehavior gives them.
  const std::string text = "the-final--countdown";
  REQUIRE(split_with("Removed", text) == Pieces{"the", "final", "countdown"});
  REQUIRE(split_with("Isolated", text) == Pieces{"the", "-", "final", "-", "-", "countdown"});
  REQUIRE(split_with("Contiguous", text) == Pieces{"the", "-", "final", "--", "countdown"});
  REQUIRE(split_with("MergedWithPrevious", text) == Pieces{"the-", "final-", "-", "countdown"});
  REQUIRE(split_with("MergedWithNext", text) == Pieces{"the", "-final", "-", "-countdown"});
  REQUIRE(split_with("Removed", text, true) == Pieces{"-", "-", "-"});
  REQUIRE_THROWS_AS(split_with("Sideways", text), UserError);
}

TEST_CASE("digits, GPT-2's pattern and a metaspace") {
  REQUIRE(pieces_of(R"({"type":"Sequence","pretokenizers":[
      {"type":"Digits","individual_digits":true},
      {"type":"ByteLevel","add_prefix_space":false,"use_regex":true}]})",
                    "I'll pay  $42.5 now") ==
          Pieces{"I", "'ll", " pay", " ", " $", "4", "2", ".", "5", " now"});
  REQUIRE(pieces_of(R"({"type":"ByteLevel","add_prefix_space":true,"use_regex":false})", "a b") ==
          Pieces{" a b"});
  REQUIRE(pieces_of(R"({"type":"Metaspace","replacement":"▁","prepend_scheme":"first"})",
                    "ab  c") == Pieces{"▁ab", "▁", "▁c"});
  REQUIRE_THROWS_AS(pieces_of(R"({"type":"BertPreTokenizer"})", "a"), UserError);
  REQUIRE_THROWS_AS(
      pieces_of(R"({"type":"Split","pattern":{"Regex":"[a&&b]"},"behavior":"Isolated"})", "a"),
      UserError);
  REQUIRE_THROWS_AS(
      pieces_of(R"({"type":"Split","pattern":{"Regex":"("},"behavior":"Isolated"})", "a"),
      UserError);
}

TEST_CASE("normalizers keep track of places") {
  REQUIRE(normalized(R"({"type":"Sequence","normalizers":[{"type":"Prepend","prepend":"▁"},
      {"type":"Replace","pattern":{"String":" "},"content":"▁"}]})",
                     "a b") == "▁a▁b");
  REQUIRE(normalized(R"({"type":"Replace","pattern":{"Regex":" {2,}"},"content":"_"})",
                     "a   b c") == "a_b c");
  REQUIRE(normalized(R"({"type":"Strip"})", "  a b\u3000") == "a b");
  REQUIRE_THROWS_AS(normalized(R"({"type":"BertNormalizer"})", "a"), UserError);
}

TEST_CASE("NFC composes, reorders and leaves exclusions apart") {
  const std::string nfc = R"({"type":"NFC"})";
  REQUIRE(normalized(nfc, "plain ASCII") == "plain ASCII");
  REQUIRE(normalized(nfc, "e\u0301") == "\u00E9");
  REQUIRE(normalized(nfc, "a\u0323\u0302 a\u0302\u0323") == "\u1EAD \u1EAD");  // either order
  REQUIRE(normalized(nfc, "\u212B") == "\u00C5");                              // singleton
  REQUIRE(normalized(nfc, "\u0958") == "\u0915\u093C");                        // exclusion
  REQUIRE(normalized(nfc, "\u1112\u1161\u11AB") == "\uD55C");                  // Hangul
  REQUIRE(normalized(nfc, "\uD55C") == "\uD55C");
  REQUIRE(normalized(nfc, "\u0344") == "\u0308\u0301");  // two marks: never composed
}

TEST_CASE("added tokens: longest first, with their white space, as whole words") {
  const auto found = [](std::vector<AddedToken> tokens, std::string_view text, bool special) {
    const AddedTokenFinder finder(std::move(tokens));
    Regex::Scratch scratch;
    std::vector<AddedTokenFinder::Part> parts;
    finder.split(text, special, scratch, parts);
    std::string shown;
    for (const auto& part : parts) {
      shown += "[" + std::string(text.substr(part.range.begin, part.range.end - part.range.begin)) +
               (part.id < 0 ? "]" : "=" + std::to_string(part.id) + "]");
    }
    return shown;
  };
  const AddedToken a{.id = 1, .content = "<a>", .special = true};
  const AddedToken ab{.id = 2, .content = "<a><b>"};
  REQUIRE(found({a, ab}, "x<a><b><a>y", true) == "[x][<a><b>=2][<a>=1][y]");
  REQUIRE(found({a, ab}, "x<a><b><a>y", false) == "[x][<a><b>=2][<a>y]");
  AddedToken wide = a;
  wide.lstrip = wide.rstrip = true;
  REQUIRE(found({wide}, "x \n<a> \u00A0y", true) == "[x][ \n<a> \u00A0=1][y]");
  const AddedToken word{.id = 3, .content = "cat", .single_word = true};
  REQUIRE(found({word}, "cat concat cats cat.", true) == "[cat=3][ concat cats ][cat=3][.]");
  REQUIRE(found({}, "text", true) == "[text]");
}

TEST_CASE("merging by scan and by heap agree with the definition") {
  // A vocabulary over three bytes with random merges; the definition is run as it stands.
  Random random(7, RandomStream::data);
  BpeModel model;
  for (const char* byte : {"a", "b", "c"}) model.tokens.push_back(byte);
  while (model.tokens.size() < 40) {
    const auto left =
        static_cast<int32_t>(random.below(static_cast<uint32_t>(model.tokens.size())));
    const auto right =
        static_cast<int32_t>(random.below(static_cast<uint32_t>(model.tokens.size())));
    const std::string whole =
        model.tokens[static_cast<size_t>(left)] + model.tokens[static_cast<size_t>(right)];
    if (std::find(model.tokens.begin(), model.tokens.end(), whole) != model.tokens.end()) continue;
    model.merges.emplace_back(left, right);
    model.merged.push_back(static_cast<int32_t>(model.tokens.size()));
    model.tokens.push_back(whole);
  }
  const BpeModel definition = model;
  const Bpe bpe(std::move(model));
  for (int round = 0; round < 300; ++round) {
    std::string text;
    const uint32_t length = 1 + random.below(60);
    for (uint32_t i = 0; i < length; ++i) text += static_cast<char>('a' + random.below(3));
    std::vector<int32_t> want;
    for (const char c : text) want.push_back(c - 'a');
    for (bool changed = true; changed;) {
      changed = false;
      for (size_t rank = 0; rank < definition.merges.size() && !changed; ++rank) {
        for (size_t i = 0; i + 1 < want.size() && !changed; ++i) {
          if (std::pair(want[i], want[i + 1]) != definition.merges[rank]) continue;
          want[i] = definition.merged[rank];
          want.erase(want.begin() + static_cast<std::ptrdiff_t>(i) + 1);
          changed = true;
        }
      }
    }
    for (int again = 0; again < 2; ++again) {  // the second time from the cache
      std::vector<BpeToken> got;
      bpe.encode(text, got);
      std::vector<int32_t> ids;
      size_t bytes = 0;
      for (const BpeToken token : got) {
        ids.push_back(token.id);
        bytes += token.length;
      }
      REQUIRE(ids == want);
      REQUIRE(bytes == text.size());
    }
  }
}

TEST_CASE(
    "a tokenizer with a string that is not UTF-8 is refused: it would break the text it meets") {
  const TemporaryFolder dir;
  const auto file = [&](const std::string& normalizer, const std::string& token) {
    const std::string text =
        R"({"model":{"type":"BPE","vocab":{"H":0,")" + token +
        R"(":1},"merges":[]},"pre_tokenizer":{"type":"ByteLevel"},"normalizer":)" + normalizer +
        "}";
    dir.write("tokenizer.json", text);
    return dir / "tokenizer.json";
  };
  const auto replace = [](const std::string& pattern, const std::string& content) {
    return R"({"type":"Replace","pattern":{"String":")" + pattern + R"("},"content":")" + content +
           "\"}";
  };
  CHECK_NOTHROW(read_tokenizer_json(file(replace("a", "\u00F6"), "e")));
  for (const auto& [normalizer, token] :
       {std::pair<std::string, std::string>{replace("a", "\xFF\xFF"), "e"},
        {replace("\xB6", "b"), "e"},
        {replace("a", "\\udc00"), "e"},
        {"null", "\xC3"}}) {
    INFO(normalizer << " " << token);
    CHECK_THROWS_AS(read_tokenizer_json(file(normalizer, token)), UserError);
  }
  CHECK_THROWS_WITH(read_tokenizer_json(file(replace("a", "\xFF"), "e")),
                    Contains("is not UTF-8") && Contains("tokenizer.json"));
}

TEST_CASE("UTF-8 repair replaces each ill-formed part once") {
  // The example of The Unicode Standard 15, table 3-8 and 3-11.
  REQUIRE(repair_utf8("\x61\xF1\x80\x80\xE1\x80\xC2\x62\x80\x63\x80\xBF\x64") ==
          "a\uFFFD\uFFFD\uFFFDb\uFFFDc\uFFFD\uFFFDd");
  REQUIRE(repair_utf8("\xE1\x80\xE2\xF0\x91\x92\xF1\xBF\x41") == "\uFFFD\uFFFD\uFFFD\uFFFDA");
  REQUIRE(repair_utf8("\xED\xA0\x80") == "\uFFFD\uFFFD\uFFFD");  // a surrogate
  REQUIRE(repair_utf8("\xF4\x90\x80\x80") == "\uFFFD\uFFFD\uFFFD\uFFFD");
  REQUIRE(find_invalid_utf8("gr\u00FC\u00DF") == std::string::npos);
  REQUIRE(find_invalid_utf8("ab\xC3") == 2);
}
