// regard._core: what the package has compiled. Its callers in python/regard check what a person
// wrote; here arrays become views, and errors of the library exceptions of Python.
#include <nanobind/nanobind.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/vector.h>

#include <exception>
#include <string>
#include <vector>

#include "attention.h"
#include "backward.h"
#include "base/cpu.h"
#include "cache.h"
#include "linear_attention.h"
#include "model.h"
#include "program.h"
#include "regard/error.h"
#include "simd/target.h"
#include "slots.h"
#include "tensor.h"

namespace nb = nanobind;

namespace regard::python {
namespace {

PyObject* exception_for(ErrorKind kind) {
  switch (kind) {
    case ErrorKind::invalid_argument:
      return PyExc_ValueError;
    case ErrorKind::unreadable:
      return PyExc_OSError;
    case ErrorKind::out_of_memory:
      return PyExc_MemoryError;
    case ErrorKind::failed:
      break;
  }
  return PyExc_RuntimeError;
}

void translate(const std::exception_ptr& thrown, void*) {
  try {
    std::rethrow_exception(thrown);
  } catch (const Error& error) {
    PyErr_SetString(exception_for(error.kind()), error.what());
  }
}

nb::typed<nb::dict, nb::str, nb::any> machine() {
  const CpuFacts cpu = cpu_facts();
  std::vector<std::string> targets;
  for (const Target target : available_targets()) targets.emplace_back(name(target));
  nb::typed<nb::dict, nb::str, nb::any> facts;
  facts["cpu"] = cpu.name;
  facts["threads"] = cpu.cores;
  facts["targets"] = targets;
  facts["target"] = std::string(name(active_target()));
  return facts;
}

}  // namespace
}  // namespace regard::python

NB_MODULE(_core, module) {
  nb::set_leak_warnings(false);  // an expression that somebody keeps to the end is no fault
  module.doc() = "The compiled half of regard; the package is its public face.";
  nb::register_exception_translator(regard::python::translate);
  module.attr("version") = REGARD_VERSION;
  module.def("machine", &regard::python::machine, "Facts that need no measuring.");
  regard::python::bind_program(module);
  regard::python::bind_slots(module);
  regard::python::bind_attention(module);
  regard::python::bind_backward(module);
  regard::python::bind_cache(module);
  regard::python::bind_linear_attention(module);
  regard::python::bind_tensor(module);
  regard::python::bind_ops(module);
  regard::python::bind_transformer(module);
  regard::python::bind_optimiser(module);
  regard::python::bind_recurrent(module);
  regard::python::bind_tokenizer(module);
  regard::python::bind_model(module);
}
