// Pages of keys and values, rotations and plans for Python.
#pragma once

#include <nanobind/nanobind.h>

namespace regard::python {

void bind_cache(nanobind::module_& module);

}  // namespace regard::python
