// Owned<T>: a dense array [tokens, heads, dim] that holds its numbers, for tests that read like the
// claim they prove.
#pragma once

#include <algorithm>
#include <array>
#include <cmath>
#include <vector>

#include "reference/random.h"
#include "regard/attention.h"

namespace regard::testing {

template <class T>
struct Owned {
  std::array<int64_t, 3> shape{};
  std::vector<T> data;

  Owned() = default;
  Owned(int64_t tokens, int64_t heads, int64_t dim, T value = 0) : shape{tokens, heads, dim} {
    data.assign(static_cast<std::size_t>(tokens * heads * dim), value);
  }
  static Owned normal(Random& random, int64_t tokens, int64_t heads, int64_t dim) {
    Owned a(tokens, heads, dim);
    for (T& x : a.data) x = static_cast<T>(random.normal());
    return a;
  }
  // One head: rows of numbers.
  static Owned of(std::initializer_list<std::initializer_list<double>> rows) {
    Owned a(static_cast<int64_t>(rows.size()), 1, static_cast<int64_t>(rows.begin()->size()));
    std::size_t n = 0;
    for (const auto& row : rows)
      for (const double x : row) a.data[n++] = static_cast<T>(x);
    return a;
  }
  static Owned identity(int64_t n) {
    Owned a(n, 1, n);
    for (int64_t i = 0; i < n; ++i) a(i, 0, i) = 1;
    return a;
  }

  T& operator()(int64_t a, int64_t b, int64_t c) {
    return data[static_cast<std::size_t>((a * shape[1] + b) * shape[2] + c)];
  }
  T operator()(int64_t a, int64_t b, int64_t c) const {
    return data[static_cast<std::size_t>((a * shape[1] + b) * shape[2] + c)];
  }
  View<const T, 3> view() const { return {data.data(), shape}; }
  View<T, 3> view() { return {data.data(), shape}; }
  int64_t tokens() const { return shape[0]; }

  // Row order[n] becomes row n.
  Owned rows(const std::vector<int64_t>& order) const {
    Owned a(static_cast<int64_t>(order.size()), shape[1], shape[2]);
    const auto width = static_cast<std::size_t>(shape[1] * shape[2]);
    for (std::size_t n = 0; n < order.size(); ++n) {
      std::copy_n(data.begin() + order[n] * static_cast<int64_t>(width), width,
                  a.data.begin() + static_cast<int64_t>(n * width));
    }
    return a;
  }
  Owned rows(int64_t first, int64_t end) const {
    std::vector<int64_t> order;
    for (int64_t row = first; row < end; ++row) order.push_back(row);
    return rows(order);
  }
};
using Floats = Owned<float>;
using Doubles = Owned<double>;

template <class T>
Owned<T> attend(const Owned<T>& q, const Owned<T>& k, const Owned<T>& v,
                const AttentionOptions& options = {}) {
  Owned<T> out(q.shape[0], q.shape[1], v.shape[2]);
  attention(q.view(), k.view(), v.view(), out.view(), options);
  return out;
}

// The weights themselves: with the identity for values, out is P. One head.
template <class T>
Owned<T> weights_of(const Owned<T>& q, const Owned<T>& k, const AttentionOptions& options = {}) {
  return attend(q, k, Owned<T>::identity(k.tokens()), options);
}

template <class T>
struct Gradients {
  Owned<T> dq, dk, dv;
};
template <class T>
Gradients<T> gradients(const Owned<T>& q, const Owned<T>& k, const Owned<T>& v,
                       const Owned<T>& dout, const AttentionOptions& options = {},
                       std::span<const ArrayGradient> arrays = {}) {
  Owned<T> out(q.shape[0], q.shape[1], v.shape[2]);
  std::vector<float> lse(static_cast<std::size_t>(q.shape[0] * q.shape[1]));
  View<float, 2> lse_view(lse.data(), {q.shape[0], q.shape[1]});
  if (options.normaliser.kind != Normaliser::Kind::softmax) lse_view.data = nullptr;
  attention(q.view(), k.view(), v.view(), out.view(), options, lse_view);
  Gradients<T> g{Owned<T>(q.shape[0], q.shape[1], q.shape[2]),
                 Owned<T>(k.shape[0], k.shape[1], k.shape[2]),
                 Owned<T>(v.shape[0], v.shape[1], v.shape[2])};
  attention_backward(q.view(), k.view(), v.view(), std::as_const(out).view(), lse_view, dout.view(),
                     g.dq.view(), g.dk.view(), g.dv.view(), options, arrays);
  return g;
}

// max |a - b| and max |b|.
template <class T>
double largest(const std::vector<T>& a) {
  double most = 0;
  for (const T x : a) most = std::max(most, std::abs(static_cast<double>(x)));
  return most;
}
template <class T>
double largest_difference(const std::vector<T>& a, const std::vector<T>& b) {
  double most = a.size() == b.size() ? 0 : INFINITY;
  for (std::size_t n = 0; n < a.size() && n < b.size(); ++n) {
    const double off = std::abs(static_cast<double>(a[n]) - static_cast<double>(b[n]));
    most = std::isnan(off) ? INFINITY : std::max(most, off);
  }
  return most;
}
// ‖a - b‖ / ‖b‖
template <class T>
double relative_difference(const std::vector<T>& a, const std::vector<T>& b) {
  double off = a.size() == b.size() ? 0 : INFINITY, norm = 0;
  for (std::size_t n = 0; n < a.size() && n < b.size(); ++n) {
    off += std::pow(static_cast<double>(a[n]) - static_cast<double>(b[n]), 2);
    norm += std::pow(static_cast<double>(b[n]), 2);
  }
  return std::sqrt(off / norm);
}

inline std::vector<int64_t> shuffled(Random& random, int64_t n) {
  std::vector<int64_t> order(static_cast<std::size_t>(n));
  for (int64_t i = 0; i < n; ++i) order[static_cast<std::size_t>(i)] = i;
  for (int64_t i = n - 1; i > 0; --i) {
    std::swap(order[static_cast<std::size_t>(i)],
              order[static_cast<std::size_t>(random.below(i + 1))]);
  }
  return order;
}

}  // namespace regard::testing
