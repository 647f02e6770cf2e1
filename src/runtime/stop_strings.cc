#include "runtime/stop_strings.h"

#include <algorithm>
#include <utility>

#include "base/check.h"

namespace regard {

StopStrings::StopStrings(std::vector<std::string> stops) : stops_(std::move(stops)) {
  for (const std::string& stop : stops_) {
    require(!stop.empty(), "stop: an empty stop string would end every text");
  }
}

bool StopStrings::push(std::string_view piece, std::string& out) {
  held_ += piece;
  // The first to be complete wins, of two that end together the longer: a rule that does not see
  // where the pieces were cut.
  std::size_t begin = std::string::npos;
  std::size_t end = std::string::npos;
  for (const std::string& stop : stops_) {
    const std::size_t at = held_.find(stop);
    if (at == std::string::npos) continue;
    if (at + stop.size() < end || (at + stop.size() == end && at < begin)) {
      begin = at;
      end = at + stop.size();
    }
  }
  if (end != std::string::npos) {
    out.append(held_, 0, begin);
    held_.clear();
    return true;
  }
  // The longest tail that begins some stop string stays.
  std::size_t keep = 0;
  for (const std::string& stop : stops_) {
    std::size_t length = std::min(stop.size() - 1, held_.size());
    while (length > keep && !held_.ends_with(std::string_view(stop).substr(0, length))) --length;
    keep = std::max(keep, length);
  }
  out.append(held_, 0, held_.size() - keep);
  held_.erase(0, held_.size() - keep);
  return false;
}

void StopStrings::finish(std::string& out) {
  out += held_;
  held_.clear();
}

}  // namespace regard
