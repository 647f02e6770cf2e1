// Captured: an array that a program reads where Python keeps it.
#pragma once

#include <nanobind/nanobind.h>

#include <cstdint>
#include <string>
#include <vector>

#include "regard/program.h"

namespace regard::python {

class Captured {
 public:
  // Shares the memory of source and keeps it alive as long as any expression reads it. Throws
  // TypeError unless source is an array of float32, int32 or bool on the CPU, ValueError unless it
  // has 1 to 4 axes and, if differentiable, is real.
  Captured(nanobind::handle source, std::string name, bool differentiable);

  const Array& array() const noexcept { return array_; }
  std::vector<int64_t> shape() const;

 private:
  Array array_;
};

}  // namespace regard::python
