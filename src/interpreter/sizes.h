// The sizes of a tile of scores, [rows][128].
#pragma once

namespace regard {

inline constexpr int kPanelKeys = 16;  // keys of a transposed panel
inline constexpr int kTileKeys = 128;  // keys between two rescales
inline constexpr int kTilePanels = kTileKeys / kPanelKeys;
inline constexpr int kFoldRows = 48;  // most rows of one fold_tile

}  // namespace regard
