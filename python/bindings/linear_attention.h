// linear_attention() and its backward pass for Python.
#pragma once

#include <nanobind/nanobind.h>

namespace regard::python {

void bind_linear_attention(nanobind::module_& module);

}  // namespace regard::python
