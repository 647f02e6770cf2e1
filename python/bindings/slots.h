// The operator's slots for Python: normalisers, similarities, and all options together.
#pragma once

#include <nanobind/nanobind.h>

namespace regard::python {

void bind_slots(nanobind::module_& module);

}  // namespace regard::python
