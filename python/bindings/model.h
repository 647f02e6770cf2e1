// Models, tokenizers and chat templates for Python.
#pragma once

#include <nanobind/nanobind.h>

namespace regard::python {

void bind_model(nanobind::module_& module);
void bind_tokenizer(nanobind::module_& module);

}  // namespace regard::python
