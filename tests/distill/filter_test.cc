#include "distill/filter.h"

#include "core/error.h"
#include "tests/support/catch.h"
#include "tests/support/temporary_folder.h"

using namespace temper;

TEST_CASE("a sample is left out for the first reason that holds") {
  FilterOptions options;
  options.max_tokens = 100;
  options.language = "en";
  options.per_prompt = 2;
  Contamination evaluation(3);
  evaluation.add("what is the capital of France");
  SampleFilter filter(options, evaluation);
  const std::string good = "<think>The sum of one and two is three, so it is right.</think>3";
  SampleView view{.prompt = 0, .question = "1+2?", .completion = good, .tokens = 20};
  const auto with = [&](auto&& change) {
    SampleView changed = view;
    change(changed);
    return std::string(filter.reason(changed));
  };
  CHECK(with([](SampleView& v) { v.judged = v.right = false; }) == "not judged");
  CHECK(with([](SampleView& v) {
          v.right = false;
          v.truncated = true;
        }) == "not right");
  CHECK(with([](SampleView& v) {
          v.truncated = true;
          v.tokens = 101;
        }) == "truncated");
  CHECK(with([](SampleView& v) { v.tokens = 101; }) == "too long");
  std::string again;
  for (int i = 0; i < 40; ++i) again += "wait, let me check that again. ";
  CHECK(with([&](SampleView& v) { v.completion = again; }) == "repetitive");
  const std::string mixed = "<think>先把一和二加起来，得到三。 So it is three.</think>3";
  CHECK(with([&](SampleView& v) { v.completion = mixed; }) == "language");
  CHECK(with([](SampleView& v) { v.question = "The capital of France?"; }) == "contaminated");
  CHECK(with([](SampleView&) {}) == "");
  CHECK(with([](SampleView&) {}) == "near-duplicate");
  CHECK(with([](SampleView& v) { v.completion = "One and two make three, clearly."; }) == "");
  CHECK(with([](SampleView& v) { v.completion = "Counting on from two gives 3."; }) ==
        "over quota");
  CHECK(with([](SampleView& v) {
          v.prompt = 1;
          v.completion = "Counting on gives 3.";
        }) == "");
}

TEST_CASE("filters can be turned off") {
  FilterOptions options;
  options.keep_truncated = true;
  options.duplicate_ngram = 0;
  options.max_repetition = 1.0;
  const Contamination none(10);
  SampleFilter filter(options, none);
  const std::string text(400, 'a');
  for (int i = 0; i < 3; ++i)
    CHECK(filter.reason({.question = "?", .completion = text, .truncated = true}) == "");
}

TEST_CASE("the counts name every reason") {
  FilterCounts counts{.samples = 10, .kept = 7};
  counts.dropped["truncated"] = 3;
  const std::string text = counts.text();
  for (const std::string_view reason : SampleFilter::reasons())
    CHECK_THAT(text, Contains(std::string(reason)));
  CHECK_THAT(text, Contains("truncated              3\n"));
}

TEST_CASE("evaluation files are read as they are; one without problems is refused") {
  const TemporaryFolder folder;
  FilterOptions options;
  options.decontaminate = {
      folder.write("a.jsonl",
                   "{\"question\":\"8+7=?\"}\n{\"messages\":[{\"role\":\"user\","
                   "\"content\":\"9+9=?\"}]}\n"),
      folder.write("b.json", "[{\"problem\":\"1+1=?\"}]")};
  const Contamination evaluation = read_contamination(options);
  for (const char* problem : {"8+7=?", "9+9=?", "1+1=?"}) CHECK(evaluation.is_in(problem));
  CHECK_FALSE(evaluation.is_in("2+2=?"));
  options.decontaminate = {folder.write("c.jsonl", "{\"gold\":\"1\"}\n")};
  CHECK_THROWS_AS(read_contamination(options), UserError);
}
