// The one rule of row kernels' views: the same [rows, width], unit stride along a row.
#pragma once

#include "base/check.h"
#include "regard/view.h"

namespace regard {

inline void require_unit_stride(const char* call, const char* argument,
                                const View<const float, 2>& x) {
  require(x.strides[1] == 1 || x.shape[1] <= 1, "{}: {} has stride {} along a row; it must be 1",
          call, argument, x.strides[1]);
}

inline void require_rows(const char* call, const View<const float, 2>& x,
                         const View<const float, 2>& out) {
  require(x.shape[0] == out.shape[0] && x.shape[1] == out.shape[1],
          "{}: x is [{}, {}] but out is [{}, {}]", call, x.shape[0], x.shape[1], out.shape[0],
          out.shape[1]);
  require_unit_stride(call, "x", x);
  require_unit_stride(call, "out", out);
}

}  // namespace regard
