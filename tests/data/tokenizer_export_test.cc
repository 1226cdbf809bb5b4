// Tokenizers that Temper writes, read back.
#include "data/tokenizer_export.h"

#include <map>

#include "core/error.h"
#include "core/file.h"
#include "data/chat_template.h"
#include "data/streaming_decoder.h"
#include "data/tokenizer.h"
#include "tests/support/catch.h"
#include "tests/support/shared.h"
#include "tests/support/temporary_folder.h"

using namespace temper;
using Ids = std::vector<int32_t>;

namespace {

// The definition of sentencepiece's BPE with scores, as llama2.c runs it.
Ids encode_by_scores(const ForeignVocabulary& v, const std::string& text) {
  std::map<std::string, int32_t> ids;
  for (size_t i = 0; i < v.tokens.size(); ++i) ids.emplace(v.tokens[i], static_cast<int32_t>(i));
  Ids out;
  const std::string padded = text.empty() ? "" : " " + text;
  for (size_t at = 0; at < padded.size();) {
    size_t end = at + 1;
    while (end < padded.size() && (static_cast<unsigned char>(padded[end]) & 0xC0) == 0x80) ++end;
    const auto found = ids.find(padded.substr(at, end - at));
    if (found != ids.end()) {
      out.push_back(found->second);
    } else {
      for (size_t i = at; i < end; ++i) out.push_back(static_cast<unsigned char>(padded[i]) + 3);
    }
    at = end;
  }
  for (;;) {
    float best = -1e10f;
    size_t where = out.size();
    int32_t whole = -1;
    for (size_t i = 0; i + 1 < out.size(); ++i) {
      const auto found = ids.find(v.tokens[static_cast<size_t>(out[i])] +
                                  v.tokens[static_cast<size_t>(out[i + 1])]);
      if (found == ids.end() || v.scores[static_cast<size_t>(found->second)] <= best) continue;
      best = v.scores[static_cast<size_t>(found->second)];
      where = i;
      whole = found->second;
    }
    if (where == out.size()) return out;
    out[where] = whole;
    out.erase(out.begin() + static_cast<std::ptrdiff_t>(where) + 1);
  }
}

}  // namespace

TEST_CASE("the tiny tokenizer gives each byte a token and finds its tags") {
  const TemporaryFolder folder;
  write_tiny_tokenizer(folder.path());
  const Tokenizer t(folder.path());
  REQUIRE(t.vocab_size() == TinyTokenizer::kVocabSize);
  REQUIRE(t.bos_id() == TinyTokenizer::kBegin);
  REQUIRE(t.eos_ids() == Ids{TinyTokenizer::kEnd});
  REQUIRE(t.pad_id() == TinyTokenizer::kPad);
  REQUIRE_FALSE(t.is_special(TinyTokenizer::kThinkBegin));
  REQUIRE(t.encode("12=<think>é</think>") ==
          Ids{'1', '2', '=', TinyTokenizer::kThinkBegin, 0xC3, 0xA9, TinyTokenizer::kThinkEnd});
  std::string all;
  for (int b = 0; b < 128; ++b) all += static_cast<char>(b);
  all += "ü€😀";
  REQUIRE(t.decode(t.encode(all)) == all);
  REQUIRE(t.decode(Ids{TinyTokenizer::kBegin, 'a', 0xC3, 'b'}, {.skip_special = true}) ==
          "a\uFFFD"
          "b");
  REQUIRE(ChatTemplate::choose("", t).id() == "temper");
  REQUIRE(t.check_fits(272).empty());
  REQUIRE(t.check_fits(1000).find("266 tokens, but the model 1000") != std::string::npos);
  REQUIRE_THROWS_AS(t.check_fits(256), UserError);
}

TEST_CASE("streaming gives whole characters that add up to the text") {
  const TemporaryFolder folder;
  write_tiny_tokenizer(folder.path());
  const Tokenizer t(folder.path());
  const std::vector<std::string> texts = {"plain", "ü€😀 mixed", "cut \xE2\x82", "bad \xFF\xE2(",
                                          "\xF0\x9F\x98"};
  for (const std::string& text : texts) {
    Ids ids;
    for (const char c : text) ids.push_back(static_cast<unsigned char>(c));
    ids.push_back(TinyTokenizer::kEnd);
    StreamingDecoder stream(t);
    std::string joined;
    for (const int32_t id : ids) {
      const std::string part = stream.push(id);
      REQUIRE(t.decode(t.encode(part)) == part);  // valid on its own
      joined += part;
    }
    joined += stream.finish();
    REQUIRE(joined == t.decode(ids, {.skip_special = true}));
  }
}

TEST_CASE("a vocabulary with scores merges the best score first, with bytes behind") {
  ForeignVocabulary v;
  v.kind = VocabularyKind::sentencepiece;
  v.tokens = {"<unk>", "\n<s>\n", "\n</s>\n"};
  for (int b = 0; b < 256; ++b) {
    char name[8];
    std::snprintf(name, sizeof(name), "<0x%02X>", b);
    v.tokens.push_back(name);
  }
  v.scores.assign(v.tokens.size(), 0);
  const auto add = [&](const char* token, float score) {
    v.tokens.push_back(token);
    v.scores.push_back(score);
  };
  add(" a", -1), add("bc", -2), add("ab", -3), add(" ", -4), add("a", -5), add("b", -6);
  add("c", -7), add("abc", -8), add(" abc", -9);
  v.unk_id = 0, v.bos_id = 1, v.eos_id = 2;
  v.add_bos = true;
  const TemporaryFolder folder;
  write_tokenizer(v, folder.path());
  const Tokenizer t(folder.path());
  for (const std::string text : {"abc", "ab abc  b", "cba\n", "éa", "", " "}) {
    INFO("text: '" << text << "'");
    REQUIRE(t.encode(text) == encode_by_scores(v, text));
    REQUIRE(t.decode(t.encode(text)) == text);
  }
  REQUIRE(t.encode("a", {.add_special = true})[0] == 1);
  REQUIRE(t.adds_bos());
  REQUIRE(t.token_text(1) == "<s>");
  StreamingDecoder from_start(t);
  REQUIRE(from_start.push(t.encode("a")[0]) == "a");
  StreamingDecoder behind_prompt(t, {.at_text_start = false});
  REQUIRE(behind_prompt.push(t.encode("a")[0]) == " a");
}

TEST_CASE("vocabularies that cannot be written are refused by name") {
  const TemporaryFolder folder;
  ForeignVocabulary v;
  v.tokens = {"a", "b"};
  v.pre = "unheard-of";
  REQUIRE_THROWS_WITH(write_tokenizer(v, folder.path()), Contains("unheard-of"));
  v.pre = "gpt-2";
  v.scores = {1.0f};
  REQUIRE_THROWS_AS(write_tokenizer(v, folder.path()), UserError);
  v.scores.clear();
  v.merges = {"a z"};
  REQUIRE_THROWS_WITH(write_tokenizer(v, folder.path()), Contains("a z"));
}

TEST_CASE("golden: stories260K's tokenizer is llama2.c's") {
  const auto file = test::shared_data_dir() / "stories260K/tok512.bin";
  if (!test::present(file)) return;
  const ForeignVocabulary v = read_llama2c_vocabulary(file, 512);
  const TemporaryFolder folder;
  write_tokenizer(v, folder.path());
  const Tokenizer t(folder.path());
  REQUIRE(t.vocab_size() == 512);
  const std::vector<std::string> texts = {
      "Once upon a time, there was a little girl named Lily.", "She said, \"Thank you!\"\n",
      "  two blanks", "naïve 中文 😀", "Tom's ball bounced and bounced and bounced, aaaaaaa."};
  for (const std::string& text : texts) {
    INFO("text: " << text);
    REQUIRE(t.encode(text) == encode_by_scores(v, text));
    REQUIRE(t.decode(t.encode(text)) == text);
  }
  REQUIRE_THROWS_AS(read_llama2c_vocabulary(file, 513), UserError);
}
