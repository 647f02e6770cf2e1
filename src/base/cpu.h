// Facts of this machine that do not need measuring; kernels/ceiling.h measures the rest.
#pragma once

#include <cstdint>
#include <string>

namespace regard {

struct CpuFacts {
  std::string name;      // as the maker calls it; "unknown" where the system does not say
  int cores = 1;         // logical processors this process may use
  int64_t l2_bytes = 0;  // of one core; 0 = the system does not say
  int64_t l3_bytes = 0;  // shared; 0 = the system does not say
};

CpuFacts cpu_facts();

}  // namespace regard
