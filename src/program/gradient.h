// What the backward pass asks of a score or weight program: its value again, and its derivatives by
// the score and by captured arrays, all from one run over a tile.
#pragma once

#include <span>
#include <vector>

#include "interpreter/program.h"
#include "regard/program.h"

namespace regard::program {

// The program's score is the expression's value, its mask the mask; what else there is are outputs,
// given by their numbers. How far each varies stands in program.prepared.outputs: the derivative of
// s + slopes[h] (j - i) by the slopes is found at slopes[h], one place a row.
struct GradientProgram {
  // An element of an array that the expression reads at every score.
  struct Element {
    Array array;
    int index[Array::kMaxRank] = {};  // outputs, integer: as many as the array has axes
    int derivative = 0;               // output, real: by this element
  };

  TileProgram program;  // prepared
  // Output, real: by the score, or in a weight program by the weight; -1: it is 1 everywhere.
  int derivative = -1;
  std::vector<Element> elements;  // in the order in which the expression reads them
};

// score: empty for scores as they are. mask: empty, or boolean. Only elements of the wanted arrays
// are looked for; one gather, one entry.
GradientProgram lower_gradient(const Expr& score, const Expr& mask, std::span<const Array> wanted);

}  // namespace regard::program
