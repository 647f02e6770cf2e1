// The operator for Python: masks, attention over batches, explain.
#pragma once

#include <nanobind/nanobind.h>

namespace regard::python {

void bind_attention(nanobind::module_& module);

}  // namespace regard::python
