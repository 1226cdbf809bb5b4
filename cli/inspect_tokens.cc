#include "cli/inspect_tokens.h"

#include <algorithm>
#include <array>
#include <cmath>

#include "cli/colour.h"
#include "core/utf8.h"
#include "grpo/loss.h"

namespace temper {
namespace {

Cell number(const std::vector<float>& values, size_t i) {
  if (values.empty()) return std::monostate();
  return double{values[i]};
}

std::string_view bytes_of(const Tokenizer& tokenizer, int32_t id) {
  const std::string_view bytes = tokenizer.bytes(id);
  return bytes.empty() ? tokenizer.token_text(id) : bytes;
}

Cell token_text(const Tokenizer* tokenizer, int32_t id) {
  if (tokenizer == nullptr) return std::monostate();
  return visible_text(bytes_of(*tokenizer, id));
}

Cell clip_text(const std::vector<uint8_t>& clips, size_t i) {
  if (clips.empty() || clips[i] == 0) return std::monostate();
  std::string text;
  for (const auto& [bit, name] : {std::pair{clip_bits::kLow, "low"},
                                  {clip_bits::kHigh, "high"},
                                  {clip_bits::kDual, "dual"},
                                  {clip_bits::kOffPolicy, "off"}})
    if ((clips[i] & bit) != 0) text += (text.empty() ? "" : "+") + std::string(name);
  return text;
}

bool counts(const SampleRow& s, size_t i) {
  return s.loss_mask.empty() || s.loss_mask[i] != 0;
}

std::optional<double> advantage_of(const SampleRow& s, size_t i) {
  if (!counts(s, i)) return std::nullopt;
  if (!s.token_advantages.empty()) return double{s.token_advantages[i]};
  return s.advantage;
}

// The experts of token `place` of prompt and completion.
Cell experts_of(const TokensOf& of, size_t place) {
  const std::vector<uint16_t>& trace = of.sample.experts;
  const size_t computed = of.prompt.ids.size() + of.sample.ids.size() - 1;
  const size_t per_token = computed == 0 ? 0 : trace.size() / computed;
  if (per_token == 0 || place >= computed) return std::monostate();
  std::string text;
  for (size_t k = 0; k < per_token; ++k) {
    const bool layer =
        of.experts_per_layer > 0 && k > 0 && k % static_cast<size_t>(of.experts_per_layer) == 0;
    text += (layer ? "|" : k > 0 ? " " : "") + std::to_string(trace[place * per_token + k]);
  }
  return text;
}

// How many of four ascending bounds the size of the value passes, with its sign.
int level(double value, const std::array<double, 4>& bounds) {
  int passed = 0;
  for (const double bound : bounds) passed += std::abs(value) >= bound;
  return value < 0 ? -passed : passed;
}

int level_of(const SampleRow& s, size_t i, TokenColour colour) {
  switch (colour) {
    case TokenColour::logprob:
      return s.rollout_logprobs.empty() ? 0 : level(s.rollout_logprobs[i], {0.7, 1.4, 2.3, 4.6});
    case TokenColour::entropy:
      return s.entropies.empty() ? 0 : -level(s.entropies[i], {0.3, 0.7, 1.4, 2.8});
    case TokenColour::advantage:
      return level(advantage_of(s, i).value_or(0.0), {1e-9, 0.5, 1.0, 2.0});
    case TokenColour::ratio:
      if (s.rollout_logprobs.empty() || s.trainer_logprobs.empty()) return 0;
      return level(s.trainer_logprobs[i] - s.rollout_logprobs[i], {1e-3, 1e-2, 0.1, 0.5});
  }
  return 0;
}

}  // namespace

Table token_table(const TokensOf& of, bool prompt_tokens, bool experts) {
  const SampleRow& s = of.sample;
  std::vector<std::string> columns = {"position",   "id",      "text",      "mask",
                                      "rollout",    "trainer", "reference", "entropy",
                                      "difference", "ratio",   "clip",      "advantage"};
  if (experts) columns.push_back("experts");
  Table table(columns);
  const size_t before = of.prompt.ids.size();
  const auto add = [&](std::vector<Cell> row, size_t place) {
    row.resize(12);
    if (experts) row.push_back(experts_of(of, place));
    table.add(std::move(row));
  };
  for (size_t i = 0; prompt_tokens && i < before; ++i)
    add({static_cast<int64_t>(i), int64_t{of.prompt.ids[i]},
         token_text(of.tokenizer, of.prompt.ids[i]), int64_t{0}},
        i);
  for (size_t i = 0; i < s.ids.size(); ++i) {
    Cell difference, ratio, advantage;
    if (!s.rollout_logprobs.empty() && !s.trainer_logprobs.empty()) {
      const double d = double{s.rollout_logprobs[i]} - double{s.trainer_logprobs[i]};
      difference = d;
      ratio = std::exp(-d);
    }
    if (const auto a = advantage_of(s, i)) advantage = *a;
    add({static_cast<int64_t>(before + i), int64_t{s.ids[i]}, token_text(of.tokenizer, s.ids[i]),
         int64_t{counts(s, i)}, number(s.rollout_logprobs, i), number(s.trainer_logprobs, i),
         number(s.reference_logprobs, i), number(s.entropies, i), difference, ratio,
         clip_text(s.clips, i), advantage},
        before + i);
  }
  return table;
}

std::string coloured_completion(const TokensOf& of, TokenColour colour) {
  std::string text, pending;
  int shade = 0;
  for (size_t i = 0; i < of.sample.ids.size(); ++i) {
    // A character may take several tokens: it has the colour of its first one.
    if (pending.empty()) shade = level_of(of.sample, i, colour);
    pending += bytes_of(*of.tokenizer, of.sample.ids[i]);
    const size_t wrong = find_invalid_utf8(pending);
    const bool cut = wrong != std::string::npos && read_utf8(pending, wrong).cut_short;
    if (cut && i + 1 < of.sample.ids.size()) continue;
    text += shaded(visible_text(pending, true), shade);
    pending.clear();
  }
  return text;
}

std::string legend_of(TokenColour colour) {
  switch (colour) {
    case TokenColour::logprob:
      return shaded("p<0.5", -1) + shaded(" 0.25", -2) + shaded(" 0.1", -3) + shaded(" 0.01", -4);
    case TokenColour::entropy:
      return shaded("entropy>0.3", -1) + shaded(" 0.7", -2) + shaded(" 1.4", -3) +
             shaded(" 2.8 nats", -4);
    case TokenColour::advantage:
      return shaded("advantage<-2", -4) + shaded(" -1", -3) + shaded(" -0.5", -2) +
             shaded(" <0", -1) + shaded(" >0", 1) + shaded(" 0.5", 2) + shaded(" 1", 3) +
             shaded(" 2", 4);
    case TokenColour::ratio:
      return "trainer against rollout, nats: " + shaded("-0.5", -4) + shaded(" -0.1", -3) +
             shaded(" -0.01", -2) + shaded(" -0.001", -1) + shaded(" 0.001", 1) +
             shaded(" 0.01", 2) + shaded(" 0.1", 3) + shaded(" 0.5", 4);
  }
  return "";
}

}  // namespace temper
