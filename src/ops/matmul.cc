// c = a b of two matrices, or of as many pairs of them as a batch has:
//   da = dc bᵀ      db = aᵀ dc
#include <utility>
#include <vector>

#include "matmul/product.h"
#include "ops/ops.h"
#include "tensor/pool.h"
#include "tensor/tape.h"

namespace regard {
namespace {

// Matrix i of [batch, rows, columns], or the one of [rows, columns].
template <class T>
View<const T, 2> matrix(const Tensor& x, int64_t i) {
  if (x.rank() == 2) return x.view<T, 2>();
  return x.view<T, 3>()[i];
}
template <class T>
View<T, 2> writable_matrix(Tensor& x, int64_t i) {
  if (x.rank() == 2) return x.writable<T, 2>();
  return x.writable<T, 3>()[i];
}

int64_t batch(const Tensor& x) { return x.rank() == 2 ? 1 : x.shape(0); }

template <class T>
View<const T, 2> turned(View<const T, 2> x, bool turn) {
  return turn ? transposed(x) : x;
}

// c = a b for each matrix, a or b turned or not.
void multiply_all(const Tensor& a, bool turn_a, const Tensor& b, bool turn_b, Tensor& c) {
  if (c.dtype() == DType::f64) {
    for (int64_t i = 0; i < batch(c); ++i) {
      multiply(turned(matrix<double>(a, i), turn_a), turned(matrix<double>(b, i), turn_b),
               writable_matrix<double>(c, i), false);
    }
    return;
  }
  std::vector<Product> products;
  for (int64_t i = 0; i < batch(c); ++i) {
    products.push_back({.a = turned(matrix<float>(a, i), turn_a),
                        .b = turned(matrix<float>(b, i), turn_b),
                        .c = writable_matrix<float>(c, i)});
  }
  multiply(products, current_pool());
}

}  // namespace

Tensor matmul(const Tensor& a, const Tensor& b) {
  require((a.rank() == 2 || a.rank() == 3) && a.rank() == b.rank() && batch(a) == batch(b) &&
              a.shape(a.rank() - 1) == b.shape(b.rank() - 2) && a.dtype() == b.dtype() &&
              (a.dtype() == DType::f32 || a.dtype() == DType::f64),
          "matmul: {} times {}", a, b);
  const int64_t rows = a.shape(a.rank() - 2), columns = b.shape(b.rank() - 1);
  Tensor c = a.rank() == 2 ? Tensor({rows, columns}, a.dtype())
                           : Tensor({batch(a), rows, columns}, a.dtype());
  multiply_all(a, false, b, false, c);
  if (!recording({&a, &b})) return c;
  return record(std::move(c), {&a, &b},
                [a = a.detach(), b = b.detach()](const Tensor& dc, InputGradients& to) {
                  if (to.wants(0)) {
                    Tensor da = Tensor::like(a);
                    multiply_all(dc, false, b, true, da);
                    to.add(0, std::move(da));
                  }
                  if (to.wants(1)) {
                    Tensor db = Tensor::like(b);
                    multiply_all(a, true, dc, false, db);
                    to.add(1, std::move(db));
                  }
                });
}

}  // namespace regard
