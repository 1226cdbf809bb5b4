// temper inspect curve: the metrics of a run as small curves.
#include <algorithm>
#include <cmath>

#include "cli/inspect.h"
#include "cli/svg_chart.h"
#include "core/error.h"
#include "core/file.h"

namespace temper {
namespace {

struct CurveOptions {
  InspectOptions inspect;
  std::vector<std::string> metrics;  // GLOB patterns
  std::string kind;
  int64_t columns = 48;
  bool points = false;
  std::string svg;
};

struct Curve {
  std::string kind, name;
  std::vector<CurvePoint> points;
};

// One block character a column: the mean of the column's points between the least and the most.
// A column whose points are all not a number shows as 'x'.
std::string sparkline(const std::vector<CurvePoint>& points, size_t columns) {
  static const char* const kBlocks[] = {"▁", "▂", "▃", "▄", "▅", "▆", "▇", "█"};
  columns = std::min(columns, points.size());
  std::vector<double> means;
  for (size_t c = 0; c < columns; ++c) {
    const size_t first = c * points.size() / columns, last = (c + 1) * points.size() / columns;
    double sum = 0, count = 0;
    for (size_t i = first; i < last; ++i) {
      if (!std::isfinite(points[i].value)) continue;
      sum += points[i].value;
      count += 1;
    }
    means.push_back(count == 0 ? std::nan("") : sum / count);
  }
  double least = INFINITY, most = -INFINITY;
  for (const double mean : means) {
    least = std::fmin(least, mean);
    most = std::fmax(most, mean);
  }
  std::string line;
  for (const double mean : means) {
    const double height = most > least ? (mean - least) / (most - least) : 0.5;
    line += std::isnan(mean) ? "x" : kBlocks[std::min<size_t>(7, static_cast<size_t>(height * 8))];
  }
  return line;
}

bool wanted(Database& db, const CurveOptions& options, const std::string& name) {
  if (options.metrics.empty()) return true;
  return std::any_of(options.metrics.begin(), options.metrics.end(), [&](const auto& pattern) {
    return db.value<bool>("SELECT ?1 GLOB ?2", name, pattern).value_or(false);
  });
}

std::vector<Curve> read_curves(Database& db, const CurveOptions& options, int64_t run) {
  std::vector<Curve> all;
  db.for_each_row(
      "SELECT DISTINCT kind, name FROM metrics WHERE run_id = ?1 AND (?2 = '' OR kind = ?2)"
      " ORDER BY kind, name",
      [&](Statement& row) {
        all.push_back({row.get<std::string>(0), row.get<std::string>(1), {}});
      },
      run, options.kind);
  std::string known;
  std::vector<Curve> curves;
  for (Curve& curve : all) {
    known += (known.empty() ? "" : ", ") + curve.name;
    if (!wanted(db, options, curve.name)) continue;
    curve.points = read_curve(db, run, curve.kind, curve.name);
    curves.push_back(std::move(curve));
  }
  if (curves.empty() && !all.empty()) {
    throw UserError({.what = "the run has no such metric",
                     .where = "--metric",
                     .expected = known,
                     .found = options.metrics.front(),
                     .hint = "names and patterns like 'reward*' are taken"});
  }
  return curves;
}

Table summary(const std::vector<Curve>& curves, size_t columns) {
  Table table({"kind", "metric", "steps", "first", "min", "max", "last", "curve"});
  for (const Curve& curve : curves) {
    double least = std::nan(""), most = std::nan("");
    for (const CurvePoint& point : curve.points) {
      least = std::fmin(least, point.value);  // fmin and fmax pass over a NaN
      most = std::fmax(most, point.value);
    }
    table.add({curve.kind, curve.name, static_cast<int64_t>(curve.points.size()),
               curve.points.front().value, least, most, curve.points.back().value,
               sparkline(curve.points, columns)});
  }
  return table;
}

Table all_points(const std::vector<Curve>& curves) {
  Table table({"kind", "metric", "step", "value"});
  for (const Curve& curve : curves) {
    for (const CurvePoint& point : curve.points) {
      table.add({curve.kind, curve.name, point.step, point.value});
    }
  }
  return table;
}

std::string picture_of(const std::vector<Curve>& curves) {
  std::vector<Chart> charts;
  for (const Curve& curve : curves) {
    Chart& chart = charts.emplace_back();
    chart.title = curve.kind + ": " + curve.name;
    chart.x_label = "step";
    for (const CurvePoint& p : curve.points)
      chart.points.emplace_back(static_cast<double>(p.step), p.value);
  }
  return svg_of(charts);
}

int show_curves(Invocation& cli, const CurveOptions& options) {
  Database db = open_for_reading(options.inspect.path);
  const RunRow run = inspected_run(db, options.inspect);
  const std::vector<Curve> curves = read_curves(db, options, run.id);
  const Table table =
      options.points ? all_points(curves) : summary(curves, static_cast<size_t>(options.columns));
  if (!options.svg.empty()) write_file_atomically(options.svg, picture_of(curves));
  InspectOptions output = options.inspect;
  output.width = std::max(output.width, options.columns);
  write_table(cli, output, table, "the run has no metrics yet");
  return 0;
}

}  // namespace

void add_inspect_curve(Subcommands& list) {
  const auto options = std::make_shared<CurveOptions>();
  OptionsTable table = inspect_options(options->inspect);
  table.group("Selection");
  table
      .add("metric", &options->metrics, "metrics to show, by name or pattern ('reward*'); else all")
      .value_name("NAME")
      .comma_separated();
  table.add("kind", &options->kind, "only steps of this kind: sft, grpo, rollout, eval");
  table.add("columns", &options->columns, "length of a curve").unit("columns").range(1, 1000);
  table.add("points", &options->points, "every step's value instead of a curve");
  table.add("svg", &options->svg, "also draws the curves into this file").value_name("FILE");
  list.add({.name = "inspect curve",
            .about = "the metrics of a run as curves: first, least, most, last",
            .examples =
                "  temper inspect curve RUN_DIR --metric reward,loss\n"
                "  temper inspect curve RUN_DIR --metric 'reward*' --points --json\n"
                "  temper inspect curve RUN_DIR --metric 'reward/*,length/mean' --svg curves.svg",
            .options = std::move(table),
            .run = [options](Invocation& cli) { return show_curves(cli, *options); }});
}

}  // namespace temper
