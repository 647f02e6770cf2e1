// attention_backward() for Python.
#pragma once

#include <nanobind/nanobind.h>

namespace regard::python {

void bind_backward(nanobind::module_& module);

}  // namespace regard::python
