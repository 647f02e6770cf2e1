// Score and mask programs: a short list of instructions that is interpreted once for each tile of
// scores, never once for each score. The operator's expressions are lowered into it.
//
// Every number a program knows varies inside a tile not at all, by row, by key, or by both; an
// instruction runs once for each tile, row, 16 keys, or 16 scores accordingly. Results have the
// same bits on every target, and do not depend on the rows and keys computed together.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "interpreter/sizes.h"

namespace regard {

// Reals are f32, each operation rounded once. Integers have 32 bits and wrap around. Truth values
// are integers with all bits set or none. A comparison with NaN is false, ne is true. min and max
// give NaN where either is NaN, otherwise b unless a is smaller or larger. floor_div and mod round
// as Python's // and % (exactly while |a / b| < 2^24); of a real b = 0 they are IEEE's a / b and
// NaN, of an integer b = 0 both are 0. A shift count outside 0 .. 31 leaves 0, or the sign. exp,
// log, tanh, sigmoid, sin and cos have the errors stated in simd/math-inl.h.
enum class TileOp : uint8_t {
  // leaves: the score as it comes (shape full), and where it stands
  load_score,
  load_batch,
  load_sequence,
  load_head,
  load_query,
  load_key,
  load_row,
  constant_f32,  // bits
  constant_i32,  // bits; 0 and ~0 also serve as truth values
  // real
  add,
  sub,
  mul,
  div,
  floor_div,
  mod,
  min,
  max,
  neg,
  abs,
  floor,
  sqrt,
  exp,
  log,
  tanh,
  sigmoid,
  sin,
  cos,
  // integer; iand, ior, ixor and inot also of truth values
  iadd,
  isub,
  imul,
  ifloor_div,
  imod,
  imin,
  imax,
  ineg,
  iabs,
  iand,
  ior,
  ixor,
  inot,
  ishl,
  ishr,        // copies of the sign come in
  ixor_shift,  // a ^ (a >> b) with zeros coming in; a count outside 0 .. 31 leaves a
  // truth values, of reals; then of integers, ieq and ine also of truth values
  lt,
  le,
  eq,
  ne,
  ilt,
  ile,
  ieq,
  ine,
  select,       // a ? b : c
  to_real,      // the nearest real; of a truth value 1 or 0
  bool_to_int,  // 1 or 0
  // an element of an array; a, b, c, d are its indices, as many as its rank
  gather_f32,   // index out of range: NaN
  gather_i32,   // index out of range: the score becomes NaN, whatever follows, and where the mask
                // depends on it the key allowed; a key that the mask leaves out stays masked
  gather_bool,  // as gather_i32; bytes, true where not 0
};

// How far a value varies inside a tile.
enum class TileShape : uint8_t { one, row, key, full };

// One step of a program. shape is at least as wide as the operands'. Slots may be written again.
struct TileInstruction {
  TileOp op = TileOp::load_score;
  TileShape shape = TileShape::full;
  uint16_t to = 0;
  uint16_t a = 0, b = 0, c = 0, d = 0;  // slots
  uint16_t array = 0;                   // of a gather
  uint32_t bits = 0;                    // of a constant
};

// A captured array: elements are f32, int32 or bytes, as the gather that reads it says. Never
// owned; data may change between runs, also shape and strides (in elements), but not the rank.
struct TileArray {
  const void* data = nullptr;
  int rank = 0;  // 0 .. 4
  int64_t shape[4] = {};
  int64_t strides[4] = {};
};

// ---- what prepare_tile_program makes of the instructions ----

// Where an operand begins, in numbers from one of six bases; of outputs the offset says which.
enum class TileBase : uint8_t { constants, tile, rows, scores, masks, outputs };
struct TileOperand {
  TileBase base = TileBase::tile;
  bool vector = false;  // 16 numbers for 16 results; otherwise one number for a whole row
  int32_t offset = 0;
  int32_t row_step = 0;  // from one row to the next; 0: every row reads the same
};
struct TileStep {
  uint8_t kernel = 0;  // a TileOp, or one of the interpreter's own
  uint8_t form = 0;    // bit k: operand k is a vector
  TileShape shape = TileShape::full;
  uint8_t operands = 0;
  uint16_t array = 0;
  bool masks = false;  // a gather that the mask depends on
  TileOperand to;
  TileOperand operand[4];
};
struct PreparedTileProgram {
  std::vector<TileStep> steps;      // first those of whole tiles, then those of row blocks
  std::vector<uint32_t> constants;  // 16 copies each
  int tile_steps = 0;
  int block_rows = 1;   // rows that go through the steps together
  int64_t numbers = 0;  // of scratch
  // Where lanes to spoil are noted, in scratch: those of scores, those of scores and masks; -1:
  // nothing can spoil one.
  int64_t poison[2] = {-1, -1};
  std::vector<TileShape> outputs;  // how far each of TileProgram::outputs varies
};

struct TileProgram {
  std::vector<TileInstruction> code;
  std::vector<TileArray> arrays;
  int slots = 0;
  int score = -1;                 // slot of the new score, a real; -1: unchanged
  int mask = -1;                  // slot of the mask, a truth value; -1: every key is allowed
  std::vector<int> outputs = {};  // slots of further results, real or integer
  PreparedTileProgram prepared;
};

// Checks a program and lays out its work: once, when code, score, mask and the arrays' ranks are
// complete, before the first run. Throws Error when an instruction reads a slot that is not
// written, mixes reals, integers and truth values, or is narrower than its operands.
void prepare_tile_program(TileProgram& program);

// Where a tile of scores stands.
struct TilePlace {
  int32_t batch = 0;
  int32_t first_key = 0;           // the key of column 0
  const int32_t* head = nullptr;   // [rows]
  const int32_t* query = nullptr;  // [rows]
  const int32_t* row = nullptr;    // [rows]
  int rows = 0;                    // 1 .. kFoldRows
  int keys = 0;                    // 1 .. kTileKeys
  int32_t sequence = 0;            // keys random numbers
};

// Bytes that run_tile_program needs, for any place.
int64_t tile_program_scratch(const TileProgram& program) noexcept;

// Where an output has its number for a row and a key, and how many numbers it takes.
struct TileOutput {
  int row_step, key_step, size;
};
constexpr TileOutput tile_output(TileShape shape, int rows) noexcept {
  return shape == TileShape::one   ? TileOutput{0, 0, 16}
         : shape == TileShape::row ? TileOutput{1, 0, (rows + 15) / 16 * 16}
         : shape == TileShape::key ? TileOutput{0, 1, kTileKeys}
                                   : TileOutput{kTileKeys, 1, rows * kTileKeys};
}

// Runs a prepared program on scores [rows][128], in place. masks [rows][8] gets a bit for every
// key, 1 = allowed, bit i of panel p for key 16 p + i; bits at and beyond keys are 0. Scores at and
// beyond keys are not specified, but only the row's own 128 are written. Allocates nothing; scratch
// need not be aligned and holds nothing between calls. Of head, query and row only those that the
// program loads are read.
//
// outputs: for each of the program's a place for its f32 or int32 numbers, laid out as
// tile_output() of its shape says; numbers of keys at and beyond keys are not specified. Where an
// integer gather leaves its array an output is what 0 in its place gives: the score beside it is
// NaN.
void run_tile_program(const TileProgram& program, const TilePlace& place, float* scores,
                      uint16_t* masks, void* scratch, void* const* outputs = nullptr) noexcept;

// What a fold needs to run a program on its scores.
struct Scoring {
  const TileProgram* program;
  TilePlace place;
  uint16_t* allowed;  // scratch: [rows][8], a bit for each key
  void* scratch;
};

}  // namespace regard
