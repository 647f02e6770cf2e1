// The inspection page: one self-contained HTML file with the numbers of one capture inside.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/threads.h"
#include "inspect/capture.h"

namespace regard::inspect {

// What the page opens on.
struct Spot {
  int64_t layer = 0;
  int64_t head = 0;
  int64_t query = 0;
  int64_t key = 0;
};

struct PageOptions {
  std::string model;                // name or path; the page shows its last part
  std::vector<std::string> tokens;  // text of each id, as Model::token_text
  Spot locked;
  // Weights and scores together may take so much in the page; a longer prompt keeps the whole map
  // of the locked head, or of none, and the locked query's row of all others. The page says so.
  int64_t map_bytes = int64_t{48} << 20;
};

// The page as text. The capture holds all layers.
// Throws Error when the spot or the tokens do not fit the capture, or when even one row of every
// head does not fit in four times map_bytes.
std::string page(const Capture& capture, const PageOptions& options, ThreadPool& pool);

// Where a query of this head looks most: a good key to lock.
int64_t strongest_key(const Capture& capture, int64_t layer, int64_t head, int64_t query);

// Which rows of the maps a page carries.
enum class Kept { all, head, row };  // every map; the locked head's; none
Kept kept_rows(int64_t layers, int64_t heads, int64_t tokens, int64_t map_bytes) noexcept;

// A JSON string with its quotes, safe inside <script>: `<` is escaped, and what is not UTF-8
// becomes U+FFFD.
std::string json_string(std::string_view text);

// Little-endian f32 in base64, with padding.
std::string base64(std::span<const float> numbers);

}  // namespace regard::inspect
