#include "regard/dtype.h"

#include <array>

namespace regard {

const DTypeInfo& info(DType dtype) noexcept {
  static constexpr std::array<DTypeInfo, 13> kInfo{{{"f64", 1, 8},
                                                    {"f32", 1, 4},
                                                    {"f16", 1, 2},
                                                    {"bf16", 1, 2},
                                                    {"i8", 1, 1},
                                                    {"q8_0", 32, 34},
                                                    {"q4_0", 32, 18},
                                                    {"q4_1", 32, 20},
                                                    {"q5_0", 32, 22},
                                                    {"q5_1", 32, 24},
                                                    {"q4_k", 256, 144},
                                                    {"q5_k", 256, 176},
                                                    {"q6_k", 256, 210}}};
  return kInfo[static_cast<std::size_t>(dtype)];
}

}  // namespace regard
