// Tensors, their tape and the operations on them for Python.
#pragma once

#include <nanobind/nanobind.h>
#include <nanobind/ndarray.h>

#include <utility>

#include "base/shared_pool.h"
#include "tensor/pool.h"
#include "tensor/tensor.h"

namespace regard::python {

// Is this thread inside on_pool() already? A function of Python that a backward pass calls is.
bool& inside_pool() noexcept;

// Runs work on the threads that set_threads() chose, while other threads of Python run.
int tensor_threads() noexcept;

template <class Work>
auto on_pool(const Work& work) {
  const nanobind::gil_scoped_release others_run;
  if (inside_pool()) return work();
  const SharedPool pool(tensor_threads());
  const UsePool use(*pool);
  struct Inside {
    Inside() { inside_pool() = true; }
    ~Inside() { inside_pool() = false; }
  } const inside;
  return work();
}

void bind_tensor(nanobind::module_& module);
void bind_ops(nanobind::module_& module);
void bind_transformer(nanobind::module_& module);
void bind_optimiser(nanobind::module_& module);
void bind_recurrent(nanobind::module_& module);

}  // namespace regard::python
