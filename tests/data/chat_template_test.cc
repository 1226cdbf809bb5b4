#include "data/chat_template.h"

#include <fstream>

#include "core/error.h"
#include "core/file.h"
#include "core/json.h"
#include "data/row_fields.h"
#include "data/tokenizer_export.h"
#include "tests/support/catch.h"
#include "tests/support/shared.h"
#include "tests/support/temporary_folder.h"

using namespace temper;

namespace {

const Conversation kTwoTurns = {{"system", "S"},
                                {"user", "Q1"},
                                {"assistant", "<think>\nt1\n</think>A1"},
                                {"user", "Q2"},
                                {"assistant", "<think>\nt2\n</think>A2"}};

// A byte-level tokenizer that has every token the templates need.
Tokenizer make_tokenizer(const TemporaryFolder& folder) {
  write_tiny_tokenizer(folder.path());
  std::string text = read_file(folder / "tokenizer.json");
  std::string added;
  int id = 300;
  for (const char* token : {"<｜begin▁of▁sentence｜>", "<｜end▁of▁sentence｜>", "<｜User｜>",
                            "<｜Assistant｜>", "<|im_start|>", "<|im_end|>", "<|begin_of_text|>",
                            "<|start_header_id|>", "<|end_header_id|>", "<|eot_id|>"}) {
    added += R"({"id":)" + std::to_string(id++) + R"(,"content":)" + quote_json(token) +
             R"(,"special":true,"normalized":false},)";
  }
  const std::string list = "\"added_tokens\":[";
  text.insert(text.find(list) + list.size(), added);
  folder.write("tokenizer.json", text);
  return Tokenizer(folder.path());
}

// The rendered text with the parts that carry loss in brackets.
std::string shown(const ChatTemplate& chat, const Conversation& messages, RenderOptions options) {
  std::string text;
  for (const Segment& s : chat.render(messages, options)) {
    text += s.loss ? "[" + s.text + "]" : s.text;
  }
  return text;
}

}  // namespace

TEST_CASE("DeepSeek-R1 drops earlier reasoning and opens a thought") {
  const TemporaryFolder folder;
  const Tokenizer tokenizer = make_tokenizer(folder);
  const ChatTemplate v3("deepseek_v3", tokenizer), r1("deepseek_r1", tokenizer);
  const std::string begin = "<｜begin▁of▁sentence｜>S<｜User｜>Q1<｜Assistant｜>";
  const std::string end = "<｜end▁of▁sentence｜>";
  REQUIRE(shown(v3, kTwoTurns, {}) == begin + "[<think>\nt1\n</think>A1" + end +
                                          "]<｜User｜>Q2<｜Assistant｜>[<think>\nt2\n</think>A2" +
                                          end + "]");
  // As its own template: every answer loses its reasoning.
  REQUIRE(join_segments(r1.render(kTwoTurns, {.add_generation_prompt = true})) ==
          begin + "A1" + end + "<｜User｜>Q2<｜Assistant｜>A2" + end + "<｜Assistant｜><think>\n");
  // To train on, the last answer keeps it, and what the prompt gives carries no loss.
  REQUIRE(shown(r1, kTwoTurns, {.training = true}) ==
          begin + "A1" + end + "<｜User｜>Q2<｜Assistant｜><think>\n[t2\n</think>A2" + end + "]");
}

TEST_CASE("ChatML, Llama-3, raw and R1-Zero write what they should") {
  const TemporaryFolder folder;
  const Tokenizer tokenizer = make_tokenizer(folder);
  const Conversation chat = {{"user", " Q "}, {"assistant", "A"}};
  const auto write = [&](const char* id, RenderOptions options = {}) {
    return shown(ChatTemplate(id, tokenizer), chat, options);
  };
  REQUIRE(write("chatml", {.add_generation_prompt = true}) ==
          "<|im_start|>user\n Q <|im_end|>\n<|im_start|>assistant\n[A<|im_end|>]\n"
          "<|im_start|>assistant\n");
  REQUIRE(
      write("smollm2").starts_with("<|im_start|>system\nYou are a helpful AI assistant named "
                                   "SmolLM, trained by Hugging Face<|im_end|>\n"));
  REQUIRE(write("llama3") ==
          "<|begin_of_text|><|start_header_id|>user<|end_header_id|>\n\nQ<|eot_id|>"
          "<|start_header_id|>assistant<|end_header_id|>\n\n[A<|eot_id|>]");
  REQUIRE(write("temper") == "<|begin|><|user|> Q <|assistant|>[A<|end|>]");
  REQUIRE(write("raw") == " Q [A<|end|>]");
  const std::string zero = write("r1_zero");
  REQUIRE(zero.find("<think>") != std::string::npos);
  REQUIRE(zero.ends_with("User:  Q . Assistant:[A<|end|>]\n"));
  REQUIRE_THROWS_AS(ChatTemplate("r1_zero", tokenizer).render({{"system", "S"}}), UserError);
  REQUIRE_THROWS_WITH(ChatTemplate("chatml", tokenizer).render({{"tool", "x"}}), Contains("tool"));
}

TEST_CASE("the loss counts answers with their stop token and nothing else") {
  const TemporaryFolder folder;
  write_tiny_tokenizer(folder.path());
  const Tokenizer t(folder.path());
  const ChatTemplate chat("temper", t);
  REQUIRE(chat.stop_id() == TinyTokenizer::kEnd);
  const Sample sample = encode_segments(
      t, chat.render({{"user", "1é"}, {"assistant", "2é"}, {"user", "3"}, {"assistant", ""}},
                     {.training = true}));
  using T = TinyTokenizer;
  REQUIRE(sample.ids == std::vector<int32_t>{T::kBegin, T::kUser, '1', 0xC3, 0xA9, T::kAssistant,
                                             '2', 0xC3, 0xA9, T::kEnd, T::kUser, '3', T::kAssistant,
                                             T::kEnd});
  REQUIRE(sample.mask == std::vector<uint8_t>{0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 0, 0, 0, 1});
  REQUIRE(sample.targets() == 5);
}

TEST_CASE("templates are recognised by what they contain, or a flag is asked for") {
  const std::string chatml = "{% for m in messages %}{{'<|im_start|>' + m['role'] + '\\n'}}";
  REQUIRE(ChatTemplate::recognise(chatml) == "chatml");
  REQUIRE(ChatTemplate::recognise(chatml + "{{'<|im_start|>system\\nYou are a helpful "
                                           "assistant.<|im_end|>\\n'}}") == "qwen2");
  REQUIRE(ChatTemplate::recognise(chatml + "{{'<|im_start|>system\\nAnother default<|im_end|>'}}")
              .empty());
  REQUIRE(ChatTemplate::recognise(chatml + "{{'<|im_start|>system\\n' + system}}") == "chatml");
  REQUIRE(ChatTemplate::recognise(chatml + "{% if enable_thinking %}").empty());
  REQUIRE(ChatTemplate::recognise("'<|start_header_id|>' + role") == "llama3");
  REQUIRE(ChatTemplate::recognise("'<|start_header_id|>' Cutting Knowledge Date").empty());
  const std::string deepseek = "'<｜User｜>' + c + '<｜Assistant｜>'";
  REQUIRE(ChatTemplate::recognise(deepseek) == "deepseek_v3");
  REQUIRE(ChatTemplate::recognise(deepseek + "content.split('</think>')[-1]" +
                                  "'<｜Assistant｜><think>\\n'") == "deepseek_r1");
  REQUIRE(ChatTemplate::recognise(deepseek + "{% if not thinking %}").empty());
  const TemporaryFolder folder;
  write_tiny_tokenizer(folder.path());
  folder.write("chat_template.jinja", "{{ 'nobody knows me' }}");
  const Tokenizer t(folder.path());
  REQUIRE_THROWS_WITH(ChatTemplate::choose("", t), Contains("--template"));
  REQUIRE_THROWS_WITH(ChatTemplate::choose("tempor", t), Contains("did you mean 'temper'"));
  REQUIRE_THROWS_WITH(ChatTemplate::choose("llama3", t), Contains("<|start_header_id|>"));
}

TEST_CASE("golden: chat templates of DeepSeek-V3 and SmolLM2 are exact") {
  const auto cases = test::golden_dir() / "templates.jsonl";
  const auto deepseek = test::shared_data_dir() / "deepseek_v3_tokenizer";
  if (!test::present(cases) || !test::present(deepseek)) return;
  const Tokenizer v3(deepseek);
  const ChatTemplate v3_chat = ChatTemplate::choose("", v3);
  REQUIRE(v3_chat.id() == "deepseek_v3");
  const TemporaryFolder folder;
  const Tokenizer stand_in = make_tokenizer(folder);  // SmolLM2's own is not at hand: text only
  const ChatTemplate smollm2("smollm2", stand_in);
  std::ifstream file(cases);
  std::string line;
  int count = 0;
  while (std::getline(file, line)) {
    const Json json = parse_json(line, cases.string());
    const bool is_v3 = std::string(json["tokenizer"].GetString()) == "deepseek_v3";
    const RenderOptions options{.add_generation_prompt = json["add_generation_prompt"].GetBool()};
    const auto segments =
        (is_v3 ? v3_chat : smollm2).render(read_messages(json, cases.string()), options);
    REQUIRE(join_segments(segments) == value_text(json["text"]));
    if (is_v3) {
      REQUIRE(encode_segments(v3, segments).ids == read_id_list(json, "ids", 0, "golden"));
    }
    ++count;
  }
  REQUIRE(count > 0);
}
