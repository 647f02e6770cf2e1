// Tensors put side by side, cut into columns, and turned: numbers move, none is computed.
#include <array>
#include <cstring>
#include <utility>
#include <vector>

#include "ops/ops.h"
#include "ops/rows.h"

namespace regard {
namespace {

std::size_t bytes_of(const Tensor& x) { return in_f64("copy", {&x}) ? 8 : 4; }

std::byte* to(Tensor& x) {
  return bytes_of(x) == 8 ? reinterpret_cast<std::byte*>(x.writable_numbers<double>().data())
                          : reinterpret_cast<std::byte*>(x.writable_numbers<float>().data());
}
const std::byte* from(const Tensor& x) {
  return bytes_of(x) == 8 ? reinterpret_cast<const std::byte*>(x.numbers<double>().data())
                          : reinterpret_cast<const std::byte*>(x.numbers<float>().data());
}

// Columns [first, first + width of part) of whole are part, or the other way round.
enum class Way { into_whole, out_of_whole };
void copy_columns(Way way, std::byte* out, const std::byte* in, const Tensor& whole, int64_t first,
                  int64_t width) {
  const auto size = static_cast<int64_t>(bytes_of(whole));
  const int64_t whole_row = width_of(whole) * size, part_row = width * size;
  over_rows(rows_in(whole), width, [&](int64_t row, int64_t count) {
    for (; count > 0; --count, ++row) {
      const int64_t in_whole = row * whole_row + first * size, in_part = row * part_row;
      if (way == Way::into_whole) {
        std::memcpy(out + in_whole, in + in_part, static_cast<std::size_t>(part_row));
      } else {
        std::memcpy(out + in_part, in + in_whole, static_cast<std::size_t>(part_row));
      }
    }
  });
}

// x's shape with another last extent.
Tensor with_width(const Tensor& x, int64_t width) {
  std::array<int64_t, kMaxRank> shape{};
  std::ranges::copy(x.shape(), shape.begin());
  shape[static_cast<std::size_t>(x.rank() - 1)] = width;
  return Tensor(Tensor::Shape(shape.data(), static_cast<std::size_t>(x.rank())), x.dtype());
}

Tensor cut(const Tensor& x, int64_t first, int64_t count) {
  Tensor part = with_width(x, count);
  copy_columns(Way::out_of_whole, to(part), from(x), x, first, count);
  return part;
}

bool any_tracked(std::span<const Tensor> parts) {
  return std::ranges::any_of(parts, [](const Tensor& part) { return recording({&part}); });
}

// y[i_axes...] = x[i...]: the inner loop runs along y's last axis.
template <class T>
void permute_numbers(const Tensor& x, const std::array<int64_t, kMaxRank>& extents,
                     const std::array<int64_t, kMaxRank>& steps, Tensor& y) {
  const T* const in = x.numbers<T>().data();
  T* const out = y.writable_numbers<T>().data();
  const int64_t planes = extents[0] * extents[1];
  over_rows(planes, extents[2] * extents[3], [&](int64_t first, int64_t count) {
    for (int64_t plane = first; plane < first + count; ++plane) {
      const T* base = in + plane / extents[1] * steps[0] + plane % extents[1] * steps[1];
      T* row = out + plane * extents[2] * extents[3];
      for (int64_t i = 0; i < extents[2]; ++i, base += steps[2], row += extents[3]) {
        for (int64_t k = 0; k < extents[3]; ++k) row[k] = base[k * steps[3]];
      }
    }
  });
}

}  // namespace

Tensor concat_rows(std::span<const Tensor> parts) {
  require(!parts.empty(), "concat_rows: no parts");
  int64_t rows = 0;
  for (const Tensor& part : parts) {
    in_f64("concat_rows", {&parts[0], &part});
    require(part.rank() == parts[0].rank() &&
                std::ranges::equal(part.shape().subspan(1), parts[0].shape().subspan(1)),
            "concat_rows: {} and {} differ behind the first axis", parts[0], part);
    rows += part.shape(0);
  }
  std::array<int64_t, kMaxRank> shape{};
  std::ranges::copy(parts[0].shape(), shape.begin());
  shape[0] = rows;
  Tensor made(Tensor::Shape(shape.data(), static_cast<std::size_t>(parts[0].rank())),
              parts[0].dtype());
  std::byte* out = to(made);
  std::vector<int64_t> counts;
  for (const Tensor& part : parts) {
    const std::size_t bytes = static_cast<std::size_t>(part.size()) * bytes_of(part);
    std::memcpy(out, from(part), bytes);
    out += bytes;
    counts.push_back(part.shape(0));
  }
  if (!any_tracked(parts)) return made;
  return record(std::move(made), parts, [counts](const Tensor& g, InputGradients& gradients) {
    int64_t first = 0;
    for (std::size_t i = 0; i < counts.size(); first += counts[i++]) {
      gradients.add(static_cast<int64_t>(i), g.rows(first, counts[i]));
    }
  });
}

Tensor concat_columns(std::span<const Tensor> parts) {
  require(!parts.empty(), "concat_columns: no parts");
  std::vector<int64_t> widths;
  int64_t width = 0;
  for (const Tensor& part : parts) {
    in_f64("concat_columns", {&parts[0], &part});
    const std::size_t leading = static_cast<std::size_t>(parts[0].rank() - 1);
    require(part.rank() == parts[0].rank() &&
                std::ranges::equal(part.shape().first(leading), parts[0].shape().first(leading)),
            "concat_columns: {} and {} differ before the last axis", parts[0], part);
    widths.push_back(width_of(part));
    width += widths.back();
  }
  Tensor made = with_width(parts[0], width);
  int64_t first = 0;
  for (const Tensor& part : parts) {
    copy_columns(Way::into_whole, to(made), from(part), made, first, width_of(part));
    first += width_of(part);
  }
  if (!any_tracked(parts)) return made;
  return record(std::move(made), parts, [widths](const Tensor& g, InputGradients& gradients) {
    int64_t at = 0;
    for (std::size_t i = 0; i < widths.size(); at += widths[i++]) {
      const auto input = static_cast<int64_t>(i);
      if (gradients.wants(input)) gradients.add(input, cut(g, at, widths[i]));
    }
  });
}

Tensor columns(const Tensor& x, int64_t first, int64_t count) {
  in_f64("columns", {&x});
  const int64_t width = width_of(x);
  require(first >= 0 && count >= 0 && first <= width - count, "columns: [{}, {}) is not inside {}",
          first, first + count, x);
  Tensor part = cut(x, first, count);
  if (!recording({&x})) return part;
  return record(std::move(part), {&x}, [first, width](const Tensor& g, InputGradients& gradients) {
    Tensor whole = with_width(g, width);
    std::memset(to(whole), 0, static_cast<std::size_t>(whole.size()) * bytes_of(whole));
    copy_columns(Way::into_whole, to(whole), from(g), whole, first, width_of(g));
    gradients.add(0, std::move(whole));
  });
}

Tensor permute(const Tensor& x, std::span<const int> axes) {
  const bool wide = in_f64("permute", {&x});
  const auto rank = static_cast<std::size_t>(x.rank());
  std::array<int, kMaxRank> back{-1, -1, -1, -1};
  bool each_once = axes.size() == rank;
  for (std::size_t i = 0; each_once && i < rank; ++i) {
    each_once = axes[i] >= 0 && axes[i] < x.rank() && back[static_cast<std::size_t>(axes[i])] < 0;
    if (each_once) back[static_cast<std::size_t>(axes[i])] = static_cast<int>(i);
  }
  require(each_once, "permute: axes must name each of the {} axes of {} once", rank, x);
  std::array<int64_t, kMaxRank> steps_of{}, shape{};
  for (int64_t axis = x.rank() - 1, step = 1; axis >= 0;
       step *= x.shape(static_cast<int>(axis--))) {
    steps_of[static_cast<std::size_t>(axis)] = step;
  }
  // Leading axes of one make every tensor one of four.
  std::array<int64_t, kMaxRank> extents{1, 1, 1, 1}, steps{};
  for (std::size_t i = 0; i < rank; ++i) {
    shape[i] = x.shape(axes[i]);
    extents[i + kMaxRank - rank] = shape[i];
    steps[i + kMaxRank - rank] = steps_of[static_cast<std::size_t>(axes[i])];
  }
  Tensor made(Tensor::Shape(shape.data(), rank), x.dtype());
  wide ? permute_numbers<double>(x, extents, steps, made)
       : permute_numbers<float>(x, extents, steps, made);
  if (!recording({&x})) return made;
  return record(std::move(made), {&x}, [back, rank](const Tensor& g, InputGradients& gradients) {
    gradients.add(0, permute(g, std::span(back).first(rank)));
  });
}

Tensor transpose(const Tensor& x) {
  require(x.rank() == 2, "transpose: {} is no matrix; permute() takes other ranks", x);
  return permute(x, std::array{1, 0});
}

}  // namespace regard
