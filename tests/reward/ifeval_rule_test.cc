// Each of IFEval's 25 instructions with a response that follows it and ones that do not, and the
// published data against responses that follow nothing.
#include "reward/rules/ifeval.h"

#include <fstream>
#include <map>
#include <set>

#include "reward/ifeval/instruction.h"
#include "reward/ifeval/sentences.h"
#include "tests/support/catch.h"
#include "tests/support/shared.h"

using namespace temper;

namespace {

struct Example {
  std::string id, arguments, followed;
  std::vector<std::string> broken;
};

const std::vector<Example> kExamples = {
    {"keywords:existence",
     R"({"keywords":["Rain","sun light"]})",
     "The rain and SUN LIGHT.",
     {"The rain.", "sun then light, rain"}},
    {"keywords:frequency",
     R"({"keyword":"cat","frequency":2,"relation":"at least"})",
     "Cat and concat",
     {"cat", "c at, ca t"}},
    {"keywords:frequency",
     R"({"keyword":"cat","frequency":2,"relation":"less than"})",
     "a cat",
     {"cat cat"}},
    {"keywords:forbidden_words",
     R"({"forbidden_words":["cat","don't"]})",
     "concatenate, do not",
     {"a Cat.", "I don't", "cat"}},
    {"keywords:letter_frequency",
     R"({"letter":"Q","let_frequency":2,"let_relation":"at least"})",
     "q and Q",
     {"q", "none"}},
    {"keywords:letter_frequency",
     R"({"letter":"!","let_frequency":1,"let_relation":"less than"})",
     "calm",
     {"loud!"}},
    {"language:response_language",
     R"({"language":"de"})",
     "Das ist ein Haus und es ist nicht klein.",
     {"This is a house and it is not small.", "1"}},
    {"language:response_language",
     R"({"language":"hi"})",
     "यह एक घर है और यह छोटा नहीं है।",
     {"हे एक घर आहे आणि ते लहान नाही.", "x"}},
    {"length_constraints:number_sentences",
     R"({"num_sentences":2,"relation":"less than"})",
     "Only Dr. A. Smith paid 1.50 dollars.",
     {"One. Two.", "One! Two? Three"}},
    {"length_constraints:number_paragraphs",
     R"({"num_paragraphs":2})",
     "one\n***\ntwo\n***",
     {"one\n\ntwo", "one\n***\n***\ntwo", "a***b***c"}},
    {"length_constraints:number_words",
     R"({"num_words":3,"relation":"at least"})",
     "one two, three",
     {"one two", "... , !"}},
    {"length_constraints:nth_paragraph_first_word",
     R"({"num_paragraphs":2,"nth_paragraph":2,"first_word":"Weekend"})",
     "First.\n\n\"Weekend, at last",
     {"First.\n\nLast", "Weekend", "a\n\nweekends\n\nc"}},
    {"detectable_content:number_placeholders",
     R"({"num_placeholders":2})",
     "[name], [a place]",
     {"[name]", "[na\nme] [b]"}},
    {"detectable_content:postscript",
     R"({"postscript_marker":"P.S."})",
     "Bye\nP.S. more",
     {"Bye", "PS more"}},
    {"detectable_content:postscript",
     R"({"postscript_marker":"P.P.S"})",
     "Bye\nP.P.S more",
     {"Bye\nP.S. more"}},
    {"detectable_format:number_bullet_lists",
     R"({"num_bullets":2})",
     "* one\ntext\n- two",
     {"* one", "* a\n* b\n* c", "** a\n* b"}},
    {"detectable_format:constrained_response",
     "{}",
     "Well. My answer is maybe. So it is.",
     {"My answer is perhaps.", "Yes.", "my answer is yes."}},
    {"detectable_format:number_highlighted_sections",
     R"({"num_highlights":2})",
     "*a* and **b c**",
     {"*a*", "* * ** **", "*a\nb*"}},
    {"detectable_format:multiple_sections",
     R"({"section_spliter":"Section","num_sections":2})",
     "Section 1\na\nSection 2\nb",
     {"Section 1\na", "Section one\nSection two"}},
    {"detectable_format:json_format",
     "{}",
     "```json\n{\"a\": [1, 2]}\n```",
     {"{a: 1}", "{\"a\": 1} and more", "```json\n```"}},
    {"detectable_format:title",
     "{}",
     "<<A title>>\ntext",
     {"<A title>", "<<>>", "<< >>", "<<a\nb>>"}},
    {"combination:two_responses",
     "{}",
     "one\n******\ntwo",
     {"one\n******\none", "one", "a\n******\n\n******\nb", "a\n******\nb\n******\nc"}},
    {"combination:repeat_prompt",
     R"({"prompt_to_repeat":"Write a poem."})",
     "write a poem.\nRoses are red",
     {"Roses are red", "I will write a poem."}},
    {"startend:end_checker",
     R"({"end_phrase":"Is there anything else?"})",
     "Done. \"is there anything else?\"",
     {"Is there anything else? No.", "anything else?"}},
    {"startend:quotation", "{}", " \"quoted\" ", {"quoted", "\"", "\"a\" b"}},
    {"change_case:capital_word_frequency",
     R"({"capital_frequency":2,"capital_relation":"at least"})",
     "WE SAID so",
     {"WE said", "We Said", "WELL-KNOWN words", "P.P.S. see", "AND/or OR"}},
    {"change_case:english_capital",
     "{}",
     "THIS IS FOR ALL OF YOU: 1.",
     {"THIS IS FOR aLL OF YOU", "DAS IST NICHT DER HUND", "123", "AAAA"}},
    {"change_case:english_lowercase",
     "{}",
     "this is for all of you.",
     {"This is for all of you", "das ist nicht der hund", "1 + 1", "aaaa"}},
    {"punctuation:no_comma", "{}", "none at all", {"one, two"}},
};

Verdict judge(const std::string& row, const std::string& response,
              const std::map<std::string, std::string>& parameters = {}) {
  const Json json = parse_json(row, "test");
  return builtin_rules()
      .make("ifeval", parameters, "test")
      ->score({.completion = response, .row = &json});
}

std::string row_of(const std::string& id, const std::string& arguments) {
  return "{\"instruction_id_list\":[\"" + id + "\"],\"kwargs\":[" + arguments + "]}";
}

}  // namespace

TEST_CASE("ifeval: each instruction accepts what follows it and rejects what does not") {
  std::set<std::string> seen;
  for (const Example& example : kExamples) {
    seen.insert(example.id);
    const std::string row = row_of(example.id, example.arguments);
    INFO(example.id << ": " << example.followed);
    CHECK(judge(row, example.followed).status == VerdictStatus::ok);
    CHECK(judge(row, "<think>a, B</think>" + example.followed).status == VerdictStatus::ok);
    CHECK(judge(row, " \n").status == VerdictStatus::no_answer);
    for (const std::string& broken : example.broken) {
      INFO(broken);
      CHECK(judge(row, broken).status == VerdictStatus::wrong);
    }
  }
  CHECK(seen.size() == 25);
}

TEST_CASE("ifeval: a row that cannot be judged is never a 0") {
  CHECK(judge(row_of("keywords:exist", "{}"), "a").status == VerdictStatus::error);
  CHECK(judge(row_of("keywords:existence", "{}"), "a").status == VerdictStatus::bad_gold);
  CHECK(judge(row_of("keywords:existence", "{\"keywords\":null}"), "").status ==
        VerdictStatus::bad_gold);
  CHECK(judge(row_of("language:response_language", "{\"language\":\"tlh\"}"), "a").status ==
        VerdictStatus::bad_gold);
  CHECK(judge("{\"instruction_id_list\":[],\"kwargs\":[]}", "a").status == VerdictStatus::bad_gold);
  CHECK(judge("{\"instruction_id_list\":[\"punctuation:no_comma\"],\"kwargs\":[]}", "a").status ==
        VerdictStatus::bad_gold);
  CHECK(judge("{}", "a").status == VerdictStatus::bad_gold);
}

TEST_CASE("ifeval: repeated ids keep their own arguments, and credit can be shared") {
  const std::string row = R"({"instruction_id_list":["keywords:frequency","keywords:frequency"],)"
                          R"("kwargs":[{"keyword":"a","frequency":2,"relation":"at least"},)"
                          R"({"keyword":"b","frequency":1,"relation":"less than"}]})";
  CHECK(judge(row, "a a").status == VerdictStatus::ok);
  CHECK(judge(row, "a").value == 0.0);
  CHECK(judge(row, "a", {{"credit", "share"}}).value == 0.5);
  CHECK(judge(row, "b", {{"credit", "share"}}).value == 0.0);
}

TEST_CASE("ifeval: the loose metric forgives a first and a last line and stars") {
  const std::string quoted = row_of("startend:quotation", "{}");
  CHECK(judge(quoted, "Sure:\n\"text\"\nBye").status == VerdictStatus::wrong);
  CHECK(judge(quoted, "Sure:\n\"text\"\nBye", {{"mode", "loose"}}).status == VerdictStatus::ok);
  CHECK(judge(quoted, "*\"text\"*", {{"mode", "loose"}}).status == VerdictStatus::ok);
  CHECK(judge(quoted, "text", {{"mode", "loose"}}).status == VerdictStatus::wrong);
}

TEST_CASE("sentences end where a reader ends them") {
  CHECK(count_sentences("One. Two! Three? Four") == 4);
  CHECK(count_sentences("Mr. Smith has 3.5 apples, e.g. red ones.") == 1);
  CHECK(count_sentences("He said \"Stop.\" Then he left...") == 2);
  CHECK(count_sentences("我来了。你呢？好") == 3);
  CHECK(count_sentences("") == 0);
  CHECK(count_sentences("!!! ...") == 0);
}

TEST_CASE("ifeval: the published rows can all be judged, and a constant follows little") {
  const std::string path = test::shared_data_dir() / "ifeval/input_data.jsonl";
  if (!test::present(path)) return;
  // What a response without any content may follow.
  const std::set<std::string> cheap = {"punctuation:no_comma",
                                       "keywords:forbidden_words",
                                       "keywords:frequency",
                                       "keywords:letter_frequency",
                                       "length_constraints:number_words",
                                       "length_constraints:number_sentences",
                                       "change_case:capital_word_frequency"};
  std::ifstream file(path);
  std::string line;
  int rows = 0, instructions = 0, repeated = 0;
  std::map<std::string, int> passed;
  while (std::getline(file, line)) {
    const Json row = parse_json(line, path);
    ++rows;
    const JsonValue& ids = *find_member(row, "instruction_id_list");
    for (rapidjson::SizeType i = 0; i < ids.Size(); ++i, ++instructions) {
      const std::string id = ids[i].GetString();
      INFO(line);
      const JsonValue& arguments = (*find_member(row, "kwargs"))[i];
      const InstructionInput in{.response = "x y z", .arguments = arguments};
      const bool held = find_instruction(id)(in);
      CHECK(in.error.empty());
      const JsonValue* relation = nullptr;
      for (const char* name : {"relation", "let_relation", "capital_relation"}) {
        if (relation == nullptr) relation = find_member(arguments, name);
      }
      if (held) {
        CHECK(cheap.count(id) == 1);
        const JsonValue* sentences = find_member(arguments, "num_sentences");
        const bool one_sentence = sentences != nullptr && sentences->GetInt() == 1;
        if (relation != nullptr && !one_sentence) {
          CHECK(std::string(relation->GetString()) == "less than");
        }
      }
      if (id == "combination:repeat_prompt") {
        const InstructionInput echo{
            .response = find_member(arguments, "prompt_to_repeat")->GetString(),
            .arguments = arguments};
        repeated += find_instruction(id)(echo);
      }
    }
    const Verdict verdict = judge(line, "x y z");
    CHECK(was_judged(verdict.status));
  }
  CHECK(rows == 541);
  CHECK(instructions == 834);
  CHECK(repeated == 41);
}
