// Programs for Python: expressions, captured arrays, and the programs that papers use.
#pragma once

#include <nanobind/nanobind.h>

namespace regard::python {

void bind_program(nanobind::module_& module);

}  // namespace regard::python
