#include "base/cpu.h"

#include <sched.h>
#include <unistd.h>

#include <fstream>
#include <thread>

namespace regard {

CpuFacts cpu_facts() {
  CpuFacts facts;
  facts.name = "unknown";
  std::ifstream file("/proc/cpuinfo");
  for (std::string line; std::getline(file, line);) {
    if (line.rfind("model name", 0) == 0) {
      const std::size_t colon = line.find(':');
      if (colon != std::string::npos && colon + 2 <= line.size())
        facts.name = line.substr(colon + 2);
      break;
    }
  }
  cpu_set_t allowed;
  CPU_ZERO(&allowed);
  if (sched_getaffinity(0, sizeof allowed, &allowed) == 0) {
    facts.cores = CPU_COUNT(&allowed);
  } else if (const unsigned count = std::thread::hardware_concurrency(); count > 0) {
    facts.cores = static_cast<int>(count);
  }
#if defined(_SC_LEVEL2_CACHE_SIZE)
  if (const long bytes = sysconf(_SC_LEVEL2_CACHE_SIZE); bytes > 0) facts.l2_bytes = bytes;
  if (const long bytes = sysconf(_SC_LEVEL3_CACHE_SIZE); bytes > 0) facts.l3_bytes = bytes;
#endif
  return facts;
}

}  // namespace regard
