// Piece: a part of a word that is a token.
#pragma once

#include <cstdint>

namespace regard::pieces {

struct Piece {
  int32_t id;
  int32_t begin, end;  // in bytes of the word
};

}  // namespace regard::pieces
