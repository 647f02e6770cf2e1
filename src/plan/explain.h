// A plan in words.
#pragma once

#include <string>

#include "plan/cut.h"

namespace regard {

std::string explain(const Setting& setting, const Cut& cut, const SharedPrefix& shared,
                    int64_t workspace_bytes);

}  // namespace regard
