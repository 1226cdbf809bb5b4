#include "cli/r1_summary.h"

#include <algorithm>
#include <array>
#include <cstdio>
#include <optional>

#include "cli/svg_chart.h"
#include "data/lineage.h"
#include "data/store_reader.h"

namespace temper {
namespace {

namespace fs = std::filesystem;

// What the table says of a stage; what does not apply is empty.
struct StageFacts {
  std::string name, what;
  std::optional<double> pass_at_1 = {}, standard_error = {}, format_rate = {};
  std::optional<double> tokens_per_second = {};
  double seconds = 0.0, device_hours = 0.0;
};

template <class T>
std::optional<T> read_value(const fs::path& run, const std::string& sql) {
  if (!fs::exists(run / kStoreFile)) return std::nullopt;
  Database db = open_for_reading(run);
  return db.value<std::optional<T>>(sql).value_or(std::nullopt);
}

void read_evaluation(const Recipe& recipe, const fs::path& folder, const RecipeStage& stage,
                     StageFacts& facts) {
  for (const RecipeStage& eval : recipe.stages) {
    if (eval.run != "eval") continue;
    bool measures = false;
    for (const StageInput& input : stage_inputs(recipe, eval, folder))
      measures = measures || (input.flag == "model" && input.from == stage.name);
    if (!measures) continue;
    const auto number = [&](const std::string& column) {
      return read_value<double>(folder / eval.out,
                                "SELECT " + column + " FROM evals ORDER BY run_id DESC LIMIT 1");
    };
    facts.pass_at_1 = number("pass_at_1");
    facts.standard_error = number("standard_error");
    facts.format_rate = number("format_rate");
    return;
  }
}

// Tokens trained on, or generated where nothing was trained or more was generated.
std::optional<double> speed_of(const fs::path& run) {
  return read_value<double>(
      run,
      "SELECT max(coalesce(sum(trained_tokens), 0), coalesce(sum(generated_tokens), 0)) /"
      " nullif(sum(wall_seconds), 0) FROM steps WHERE kind <> 'select'");
}

// Of all runs of a stage, its teacher's too.
double hours_of(const fs::path& out) {
  double hours = 0.0;
  for (const fs::path& run : {out, out / "teacher"})
    hours += read_value<double>(run, "SELECT total(device_hours) FROM run_hours").value_or(0.0);
  return hours;
}

std::string padded(const std::string& text, size_t width, bool right) {
  const std::string space(text.size() < width ? width - text.size() : 0, ' ');
  return right ? space + text : text + space;
}

std::string number(const char* format, double value) {
  char text[48];
  std::snprintf(text, sizeof text, format, value);
  return text;
}

// `all` is the whole chain, evaluations too.
std::string table_of(const Recipe& recipe, const std::vector<StageFacts>& stages,
                     const StageFacts& all) {
  size_t width = 5, what_width = 0;
  for (const StageFacts& s : stages) {
    width = std::max(width, s.name.size());
    what_width = std::max(what_width, s.what.size());
  }
  const std::array<size_t, 7> widths{width + 2, what_width, 18, 10, 11, 9, 10};
  const auto row = [&](const std::array<std::string, 7>& cells) {
    std::string line = "  ";
    for (size_t i = 0; i < cells.size(); ++i) line += padded(cells[i], widths[i], i > 1);
    return line + "\n";
  };
  std::string text =
      "\n" + recipe.name + ", " + number("%.1f minutes", all.seconds / 60) +
      number(", %.3f device hours", all.device_hours) + "\n\n" +
      row({"stage", "", "held-out pass@1", "format", "tokens/s", "seconds", "device h"});
  for (const StageFacts& s : stages)
    text += row({s.name, s.what,
                 s.pass_at_1 ? number("%.1f %%", 100 * *s.pass_at_1) + " +- " +
                                   number("%.1f", 100 * s.standard_error.value_or(0))
                             : "",
                 s.format_rate ? number("%.1f %%", 100 * *s.format_rate) : "",
                 s.tokens_per_second ? number("%.0f", *s.tokens_per_second) : "",
                 number("%.1f", s.seconds), number("%.4f", s.device_hours)});
  return text;
}

// The curve that says most about a stage.
std::optional<Chart> curve_of(const fs::path& run, const StageFacts& stage) {
  if (!fs::exists(run / kStoreFile)) return std::nullopt;
  Database db = open_for_reading(run);
  for (const auto& [kind, metric] :
       {std::pair("grpo", "reward/mean"), std::pair("sft", "loss"), std::pair("distill", "kl")}) {
    const auto id = db.value<int64_t>(
        "SELECT run_id FROM metrics WHERE kind = ? AND name = ? ORDER BY run_id DESC LIMIT 1", kind,
        metric);
    if (!id) continue;
    Chart chart{.title = stage.name + ": " + metric, .x_label = "step", .points = {}};
    for (const CurvePoint& p : read_curve(db, *id, kind, metric))
      chart.points.emplace_back(static_cast<double>(p.step), p.value);
    return chart;
  }
  return std::nullopt;
}

std::string picture_of(const Recipe& recipe, const fs::path& folder,
                       const std::vector<StageFacts>& stages) {
  std::vector<Chart> charts;
  Chart passes{.title = "held-out pass@1, %", .x_label = "", .points = {}, .dots = true};
  for (const StageFacts& stage : stages) {
    const auto in_recipe = std::find_if(recipe.stages.begin(), recipe.stages.end(),
                                        [&](const RecipeStage& s) { return s.name == stage.name; });
    if (const auto chart = curve_of(folder / in_recipe->out, stage)) charts.push_back(*chart);
    if (!stage.pass_at_1) continue;
    passes.x_label += (passes.x_label.empty() ? "" : ", ") + stage.name;
    passes.points.emplace_back(static_cast<double>(passes.points.size() + 1),
                               100 * *stage.pass_at_1);
    passes.errors.push_back(100 * stage.standard_error.value_or(0.0));
  }
  if (!passes.points.empty()) charts.push_back(std::move(passes));
  return svg_of(charts);
}

}  // namespace

ChainSummary summarise_chain(const Recipe& recipe, const fs::path& folder, Database& database,
                             int64_t run_id) {
  std::vector<StageFacts> stages;
  StageFacts all;
  for (const RecipeStage& stage : recipe.stages) {
    const auto row = find_stage(database, run_id, stage.name);
    if (!row || row->status != "done") continue;
    StageFacts facts{.name = stage.name, .what = stage.label.empty() ? stage.run : stage.label};
    facts.seconds = row->finished.value_or(row->started) - row->started;
    const fs::path out = folder / stage.out;
    facts.device_hours = hours_of(out);
    all.seconds += facts.seconds;
    all.device_hours += facts.device_hours;
    if (stage.run == "eval" || fs::is_regular_file(out)) continue;
    facts.tokens_per_second = speed_of(out);
    read_evaluation(recipe, folder, stage, facts);
    if (facts.pass_at_1 || facts.tokens_per_second) stages.push_back(std::move(facts));
  }
  return {table_of(recipe, stages, all), picture_of(recipe, folder, stages)};
}

}  // namespace temper
