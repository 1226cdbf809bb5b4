#include "cli/benchmarks.h"

namespace temper {
namespace {

// Greedy, one sample: what lm-eval and the papers of HumanEval and MBPP do for pass@1.
OptionPreset benchmark(const std::string& name, const std::string& file, const std::string& reward,
                       const std::string& suffix, const std::string& max_new_tokens) {
  return {name,
          {{"data", file},
           {"reward", reward},
           {"suffix", suffix},
           {"task", name},
           {"samples", "1"},
           {"temperature", "0"},
           {"top-p", "1"},
           {"max-new-tokens", max_new_tokens}}};
}

}  // namespace

std::vector<OptionPreset> eval_benchmarks() {
  const std::string code_suffix = "\nAnswer with one Python code block.";
  return {
      benchmark("gsm8k", "gsm8k/test.jsonl",
                "gsm8k(mode=strict) as strict, gsm8k(mode=flexible)=0 as flexible",
                "\nThink step by step. End with a line \"#### \" and the number.", "1024"),
      benchmark("math-500", "math/math500_test.json", "math",
                "\nPlease reason step by step, and put your final answer within \\boxed{}.",
                "4096"),
      benchmark("humaneval", "humaneval/HumanEval.jsonl", "code", "", "1024"),
      benchmark("mbpp", "mbpp/mbpp_test.jsonl", "code", code_suffix, "1024"),
  };
}

}  // namespace temper
