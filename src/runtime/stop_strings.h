// StopStrings: lets text through up to the first stop string, wherever tokens cut it.
//
// Text that could still become a stop string is held back, so nothing of one is ever shown.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace regard {

class StopStrings {
 public:
  // Throws Error(invalid_argument) for an empty string.
  explicit StopStrings(std::vector<std::string> stops);

  // Takes the next piece and appends to `out` what may be shown. True: a stop string came, the
  // text has ended before it.
  bool push(std::string_view piece, std::string& out);

  // The text ends here: what was held back is shown after all.
  void finish(std::string& out);

 private:
  std::vector<std::string> stops_;
  std::string held_;  // a proper prefix of some stop string, or empty
};

}  // namespace regard
