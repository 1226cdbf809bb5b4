#include "cli/svg_chart.h"

#include <algorithm>
#include <cmath>
#include <cstdio>

namespace temper {
namespace {

constexpr double kWidth = 320, kHeight = 200, kLeft = 48, kRight = 12, kTop = 30, kBottom = 34;
constexpr size_t kColumns = 3;

std::string number(double value, const char* format = "%.4g") {
  char text[32];
  std::snprintf(text, sizeof text, format, value);
  return text;
}

std::string escaped(const std::string& text) {
  std::string out;
  for (const char c : text) out += c == '<' ? "&lt;" : c == '&' ? "&amp;" : std::string(1, c);
  return out;
}

// From the chart's numbers to places in the picture.
struct Frame {
  double x0 = 0, x1 = 1, y0 = 0, y1 = 1, left = 0, top = 0;

  double x(double value) const {
    return left + kLeft + (value - x0) / (x1 - x0) * (kWidth - kLeft - kRight);
  }
  double y(double value) const {
    return top + kHeight - kBottom - (value - y0) / (y1 - y0) * (kHeight - kTop - kBottom);
  }
};

Frame frame_of(const Chart& chart, size_t place) {
  Frame f{.left = static_cast<double>(place % kColumns) * kWidth,
          .top = static_cast<double>(place / kColumns) * kHeight};
  bool first = true;
  for (size_t i = 0; i < chart.points.size(); ++i) {
    const auto& [x, y] = chart.points[i];
    if (!std::isfinite(y)) continue;
    const double error = i < chart.errors.size() ? chart.errors[i] : 0.0;
    f.x0 = first ? x : std::min(f.x0, x);
    f.x1 = first ? x : std::max(f.x1, x);
    f.y0 = first ? y - error : std::min(f.y0, y - error);
    f.y1 = first ? y + error : std::max(f.y1, y + error);
    first = false;
  }
  if (f.x1 <= f.x0) f.x1 = f.x0 + 1;
  if (f.y1 <= f.y0) f.y1 = f.y0 + 1;
  return f;
}

std::string text_at(double x, double y, const std::string& text, const char* anchor, int size) {
  return "<text x=\"" + number(x, "%.1f") + "\" y=\"" + number(y, "%.1f") + "\" text-anchor=\"" +
         anchor + "\" font-size=\"" + std::to_string(size) + "\">" + escaped(text) + "</text>\n";
}

std::string line_from(double x0, double y0, double x1, double y1) {
  return "<line x1=\"" + number(x0, "%.1f") + "\" y1=\"" + number(y0, "%.1f") + "\" x2=\"" +
         number(x1, "%.1f") + "\" y2=\"" + number(y1, "%.1f") + "\" stroke=\"#888\"/>\n";
}

std::string axes(const Chart& chart, const Frame& f) {
  const double bottom = f.top + kHeight - kBottom, left = f.left + kLeft;
  const double right = f.left + kWidth - kRight;
  return line_from(left, bottom, right, bottom) + line_from(left, f.top + kTop, left, bottom) +
         text_at(f.left + kWidth / 2, f.top + 18, chart.title, "middle", 13) +
         text_at(left - 4, bottom, number(f.y0), "end", 10) +
         text_at(left - 4, f.top + kTop + 8, number(f.y1), "end", 10) +
         text_at(left, bottom + 14, number(f.x0), "start", 10) +
         text_at(right, bottom + 14, number(f.x1), "end", 10) +
         text_at((left + right) / 2, bottom + 26, chart.x_label, "middle", 10);
}

// The line through a chart's points; of those in one column of the picture (a pixel wide) its
// first, lowest, highest and last place, since what lies between them draws the same.
std::string path_of(const Chart& chart, const Frame& f) {
  std::string path;
  const auto add = [&](double x, double y) {
    path += (path.empty() ? "" : " ") + number(x, "%.1f") + "," + number(y, "%.1f");
  };
  struct Column {
    double x, first, low, high, last;
    size_t count = 0;
  } column{};
  const auto finish = [&] {
    if (column.count > 0) add(column.x, column.first);
    if (column.count > 2) add(column.x, column.low), add(column.x, column.high);
    if (column.count > 1) add(column.x, column.last);
  };
  for (const auto& [value, height] : chart.points) {
    if (!std::isfinite(height)) continue;
    const double x = f.x(value), y = f.y(height);
    if (column.count > 0 && std::floor(x) == std::floor(column.x)) {
      column = {column.x, column.first,    std::min(column.low, y), std::max(column.high, y),
                y,        column.count + 1};
    } else {
      finish();
      column = {x, y, y, y, y, 1};
    }
  }
  finish();
  return path;
}

std::string curve(const Chart& chart, const Frame& f) {
  std::string marks;
  for (size_t i = 0; chart.dots && i < chart.points.size(); ++i) {
    const auto& [x, y] = chart.points[i];
    if (!std::isfinite(y)) continue;
    marks += "<circle cx=\"" + number(f.x(x), "%.1f") + "\" cy=\"" + number(f.y(y), "%.1f") +
             "\" r=\"3\" fill=\"#1f5f9f\"/>\n";
    if (i < chart.errors.size())
      marks += line_from(f.x(x), f.y(y - chart.errors[i]), f.x(x), f.y(y + chart.errors[i]));
  }
  return "<polyline points=\"" + path_of(chart, f) +
         "\" fill=\"none\" stroke=\"#1f5f9f\" stroke-width=\"1.5\"/>\n" + marks;
}

}  // namespace

std::string svg_of(const std::vector<Chart>& charts) {
  const size_t columns = std::min(std::max<size_t>(1, charts.size()), kColumns);
  const size_t rows = (charts.size() + kColumns - 1) / kColumns;
  const std::string width = number(static_cast<double>(columns) * kWidth, "%.0f");
  const std::string height = number(static_cast<double>(rows) * kHeight, "%.0f");
  std::string svg = "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"" + width + "\" height=\"" +
                    height + "\" viewBox=\"0 0 " + width + " " + height +
                    "\" font-family=\"sans-serif\">\n<rect width=\"100%\" height=\"100%\" "
                    "fill=\"white\"/>\n";
  for (size_t i = 0; i < charts.size(); ++i) {
    const Frame frame = frame_of(charts[i], i);
    svg += axes(charts[i], frame) + curve(charts[i], frame);
  }
  return svg + "</svg>\n";
}

}  // namespace temper
