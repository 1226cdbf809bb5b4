#include "grpo/presets.h"

namespace temper {
namespace {

using Values = std::vector<std::pair<std::string, std::string>>;

Values join(Values a, const Values& b) {
  a.insert(a.end(), b.begin(), b.end());
  return a;
}

// What R1-Zero and R1's first RL stage share (DeepSeek-R1, methods and B.4). A step of the paper is
// one of the 16 updates of a rollout: 512 prompts x 16 samples, the reference renewed every 400.
Values r1_common() {
  return {{"learning-rate", "3e-6"},
          {"kl-coef", "0.001"},
          {"kl-estimator", "k3"},
          {"kl-in", "loss"},
          {"temperature", "1"},
          {"samples-per-prompt", "16"},
          {"prompts-per-step", "512"},
          {"mini-batches", "16"},
          {"inner-epochs", "1"},
          {"shuffle-mini-batches", "true"},
          {"max-new-tokens", "32768"},
          {"reference-every", "25"},
          {"advantage", "group-std"},
          {"objective", "clipped"},
          {"aggregation", "sequence-mean"}};
}

Values deepseekmath() {
  return {
      {"learning-rate", "1e-6"},  {"kl-coef", "0.04"},          {"kl-estimator", "k3"},
      {"kl-in", "loss"},          {"samples-per-prompt", "64"}, {"prompts-per-step", "16"},
      {"max-new-tokens", "1024"}, {"mini-batches", "1"},        {"inner-epochs", "1"},
      {"advantage", "group-std"}, {"objective", "clipped"},     {"aggregation", "sequence-mean"}};
}

Values dapo() {
  return {{"clip-low", "0.2"},          {"clip-high", "0.28"},         {"kl-coef", "0"},
          {"objective", "clipped"},     {"aggregation", "token-mean"}, {"advantage", "group-std"},
          {"dynamic-sampling", "true"}, {"oversample", "3"},           {"max-generations", "10"},
          {"overlong-buffer", "4096"},  {"overlong-weight", "1"},      {"max-new-tokens", "20480"},
          {"learning-rate", "1e-6"},    {"schedule", "constant"},      {"warmup-steps", "320"},
          {"prompts-per-step", "512"},  {"samples-per-prompt", "16"},  {"mini-batches", "16"},
          {"inner-epochs", "1"},        {"temperature", "1"}};
}

Values dr_grpo() {
  return {{"advantage", "group-mean"},
          {"aggregation", "constant"},
          {"kl-coef", "0"},
          {"objective", "clipped"},
          {"max-new-tokens", "3000"},
          {"temperature", "1"},
          {"top-p", "1"},
          {"learning-rate", "1e-6"},
          {"schedule", "constant"},
          {"samples-per-prompt", "8"},
          {"prompts-per-step", "128"},
          {"mini-batches", "8"},
          {"inner-epochs", "1"}};
}

Values gspo() {
  return {{"objective", "gspo"},
          {"clip-low", "3e-4"},
          {"clip-high", "4e-4"},
          {"kl-coef", "0"},
          {"aggregation", "sequence-mean"},
          {"advantage", "group-std"},
          {"mini-batches", "4"},
          {"inner-epochs", "1"}};
}

Values cispo() {
  return {{"objective", "cispo"},
          {"clip-low", "1"},
          {"clip-high", "5"},
          {"kl-coef", "0"},
          {"aggregation", "token-mean"},
          {"advantage", "group-std"},
          {"dynamic-sampling", "true"},
          {"mini-batches", "16"},
          {"inner-epochs", "1"},
          {"beta1", "0.9"},
          {"beta2", "0.95"},
          {"adam-eps", "1e-15"}};
}

}  // namespace

std::vector<OptionPreset> grpo_presets() {
  return {{"r1-zero", join(r1_common(), {{"steps", "650"}})},
          {"r1", join(r1_common(), {{"clip-low", "10"}, {"clip-high", "10"}})},
          {"deepseekmath", deepseekmath()},
          {"dapo", dapo()},
          {"dr-grpo", dr_grpo()},
          {"gspo", gspo()},
          {"cispo", cispo()}};
}

}  // namespace temper
