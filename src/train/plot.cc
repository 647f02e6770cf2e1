// The figure of a run. Colours are of Okabe and Ito (2008), whom the colour-blind can tell apart.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>

#include "train/log.h"

namespace regard::train {
namespace {

constexpr double kWidth = 720, kHeight = 400, kLeft = 64, kRight = 16, kTop = 32, kBottom = 48;
constexpr std::size_t kMostPoints = 1000;

struct Point {
  double step, loss;
};

// Of the steps of an axis: 1, 2 or 5 times a power of ten, some five of them.
double tick(double range) {
  const double rough = std::max(range, 1e-9) / 5;
  const double power = std::pow(10, std::floor(std::log10(rough)));
  for (const double times : {1.0, 2.0, 5.0}) {
    if (times * power >= rough) return times * power;
  }
  return 10 * power;
}

class Figure {
 public:
  Figure(double last, double low, double high) : last_(last), low_(low), high_(high) {
    text_ = fmt::format(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {0} {1}\" width=\"{0}\" "
        "height=\"{1}\" font-family=\"sans-serif\" font-size=\"12\">\n"
        "<rect width=\"{0}\" height=\"{1}\" fill=\"white\"/>\n",
        kWidth, kHeight);
    const double down = tick(high - low), across = std::max(1.0, tick(last));
    for (double at = std::ceil(low / down) * down; at <= high; at += down) {
      line(kLeft, y(at), kWidth - kRight, y(at), "#dddddd");
      label(kLeft - 6, y(at) + 4, "end", fmt::format("{:.4g}", at));
    }
    for (double at = 0; at <= last; at += across) {
      line(x(at), kHeight - kBottom, x(at), kHeight - kBottom + 4, "#000000");
      label(x(at), kHeight - kBottom + 18, "middle", fmt::format("{:.6g}", at));
    }
    line(kLeft, kHeight - kBottom, kWidth - kRight, kHeight - kBottom, "#000000");
    line(kLeft, kTop, kLeft, kHeight - kBottom, "#000000");
    label(kWidth / 2, kHeight - 10, "middle", "step");
    label(kLeft, kTop - 12, "middle", "loss (nats)");
  }

  void curve(const std::vector<Point>& points, const char* colour, double width, const char* name) {
    if (points.empty()) return;
    text_ += fmt::format("<polyline fill=\"none\" stroke=\"{}\" stroke-width=\"{}\" points=\"",
                         colour, width);
    const std::size_t every = (points.size() + kMostPoints - 1) / kMostPoints;
    for (std::size_t i = 0; i < points.size(); i += every) {
      text_ += fmt::format("{:.1f},{:.1f} ", x(points[i].step), y(points[i].loss));
    }
    text_ += "\"/>\n";
    const double at = kLeft + 120 + 150 * names_++;
    line(at, kTop - 16, at + 24, kTop - 16, colour);
    label(at + 30, kTop - 12, "start", name);
  }

  std::string take() && { return text_ + "</svg>\n"; }

 private:
  double x(double step) const { return kLeft + step / last_ * (kWidth - kLeft - kRight); }
  double y(double loss) const {
    const double way = (std::clamp(loss, low_, high_) - low_) / (high_ - low_);
    return kHeight - kBottom - way * (kHeight - kTop - kBottom);
  }
  void line(double x0, double y0, double x1, double y1, const char* colour) {
    text_ += fmt::format(
        "<line x1=\"{:.1f}\" y1=\"{:.1f}\" x2=\"{:.1f}\" y2=\"{:.1f}\" stroke=\"{}\"/>\n", x0, y0,
        x1, y1, colour);
  }
  void label(double at, double height, const char* anchor, const std::string& text) {
    text_ += fmt::format("<text x=\"{:.1f}\" y=\"{:.1f}\" text-anchor=\"{}\">{}</text>\n", at,
                         height, anchor, text);
  }

  double last_, low_, high_;
  int names_ = 0;
  std::string text_;
};

}  // namespace

std::string draw_losses(const std::vector<Update>& updates) {
  std::vector<Point> losses, averages, held_out;
  double low = std::numeric_limits<double>::infinity(), high = 0, last = 1;
  for (const Update& one : updates) {
    const auto step = static_cast<double>(one.step);
    losses.push_back({step, one.loss});
    averages.push_back({step, one.average});
    if (one.evaluation) held_out.push_back({step, one.evaluation->loss});
    for (const double loss : {one.loss, one.evaluation ? one.evaluation->loss : one.loss}) {
      low = std::min(low, loss);
      high = std::max(high, loss);
    }
    last = std::max(last, step);
  }
  if (updates.empty()) low = 0;
  if (!(high > low)) high = low + 1;
  Figure figure(last, low, high);
  figure.curve(losses, "#bbbbbb", 1, "each step");
  figure.curve(averages, "#0072B2", 2, "average");
  figure.curve(held_out, "#D55E00", 2, "held out");
  return std::move(figure).take();
}

}  // namespace regard::train
