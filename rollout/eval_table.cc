// An evaluation as text for people and as JSON for its row in the database.
#include <cmath>
#include <cstdio>

#include "core/json.h"
#include "core/options.h"
#include "rollout/evaluate.h"

namespace temper {
namespace {

std::string number(const char* format, double value) {
  if (std::isnan(value)) return "-";  // nothing was judged
  char text[64];
  std::snprintf(text, sizeof text, format, value);
  return text;
}

std::string percent(double share) {
  return number("%.2f %%", 100.0 * share);
}

std::string with_error(const MeanError& value) {
  if (std::isnan(value.mean)) return "-";
  return percent(value.mean) + " +- " + percent(value.error);
}

std::string line(const std::string& name, const std::string& value) {
  return "  " + name + std::string(name.size() < 22 ? 22 - name.size() : 1, ' ') + value + "\n";
}

std::string json_of(const MeanError& value) {
  return "\"value\":" + option_text(value.mean) + ",\"standard_error\":" + option_text(value.error);
}

}  // namespace

std::string eval_details(const SampleOptions& options, const EvalSummary& s) {
  std::string text = "{\"right\":" + quote_json(s.right) +
                     ",\"seed\":" + std::to_string(options.seed) +
                     ",\"unjudged\":" + std::to_string(s.unjudged);
  if (!s.pass_at.empty()) {
    text += ",\"pass_at\":[";
    for (size_t i = 0; i < s.pass_at.size(); ++i)
      text += std::string(i == 0 ? "" : ",") + "{\"k\":" + std::to_string(s.pass_at[i].k) + "," +
              json_of(s.pass_at[i].value) + "}";
    text += "],\"majority_at\":{\"k\":" + std::to_string(options.samples) + "," +
            json_of(s.majority) + ",\"ties\":\"the answer given first\"}";
  }
  if (!s.components.empty()) {
    text += ",\"components\":{";
    for (size_t i = 0; i < s.components.size(); ++i)
      text += (i == 0 ? "" : ",") + quote_json(s.components[i].name) + ":{" +
              json_of(s.components[i].ok) + "}";
    text += "}";
  }
  return text + "}";
}

std::string eval_table(const std::string& task, const SampleOptions& options,
                       const EvalReport& report) {
  const EvalSummary& s = report.summary;
  const std::string k = std::to_string(options.samples);
  std::string text = task + ": " + std::to_string(s.prompts) + " prompts, " + k +
                     (options.samples == 1 ? " sample" : " samples") + " each, temperature " +
                     number("%g", options.sampling.temperature) + "\n";
  text += line(options.samples == 1 ? "pass@1" : "pass@1 (avg@" + k + ")",
               with_error({s.pass_at_1, s.standard_error}));
  for (const PassAtK& pass : s.pass_at)
    text += line("pass@" + std::to_string(pass.k), with_error(pass.value));
  if (!s.pass_at.empty())
    text += line("maj@" + k, with_error(s.majority) + "  (a tie goes to the answer given first)");
  for (const ComponentRate& rate : s.components) text += line(rate.name, with_error(rate.ok));
  if (s.format_rate >= 0.0) text += line("format", percent(s.format_rate));
  text += line("mean reward", number("%.4f", s.mean_reward));
  text += line("mean tokens", number("%.1f", s.mean_tokens));
  text += line("cut by the limit", percent(s.truncated_rate));
  if (s.unjudged > 0) text += line("could not be judged", std::to_string(s.unjudged));
  if (s.cancelled > 0) text += line("interrupted", std::to_string(s.cancelled));
  text += line("generated", number("%.0f", static_cast<double>(report.stats.generated_tokens)) +
                                " tokens in " + number("%.1f s", report.stats.seconds) + " (" +
                                number("%.0f", report.stats.generated_per_second()) + " tokens/s)");
  return text;
}

}  // namespace temper
