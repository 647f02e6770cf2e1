#include "program/lower.h"

#include <algorithm>

#include "base/check.h"
#include "program/cheaper.h"

namespace regard {
namespace {

using program::Graph;
using program::GraphNode;
using program::Op;

// The instruction for reals (or of any kind), and the one for integers and booleans.
struct Instructions {
  Op op;
  TileOp real, integer;
};
constexpr Instructions kInstructions[] = {
    {Op::constant, TileOp::constant_f32, TileOp::constant_i32},
    {Op::score, TileOp::load_score, TileOp::load_score},
    {Op::batch, TileOp::load_batch, TileOp::load_batch},
    {Op::sequence, TileOp::load_sequence, TileOp::load_sequence},
    {Op::head, TileOp::load_head, TileOp::load_head},
    {Op::query, TileOp::load_query, TileOp::load_query},
    {Op::key, TileOp::load_key, TileOp::load_key},
    {Op::row, TileOp::load_row, TileOp::load_row},
    {Op::add, TileOp::add, TileOp::iadd},
    {Op::sub, TileOp::sub, TileOp::isub},
    {Op::mul, TileOp::mul, TileOp::imul},
    {Op::div, TileOp::div, TileOp::div},
    {Op::floor_div, TileOp::floor_div, TileOp::ifloor_div},
    {Op::mod, TileOp::mod, TileOp::imod},
    {Op::min, TileOp::min, TileOp::imin},
    {Op::max, TileOp::max, TileOp::imax},
    {Op::bit_and, TileOp::iand, TileOp::iand},
    {Op::bit_or, TileOp::ior, TileOp::ior},
    {Op::bit_xor, TileOp::ixor, TileOp::ixor},
    {Op::shift_left, TileOp::ishl, TileOp::ishl},
    {Op::shift_right, TileOp::ishr, TileOp::ishr},
    {Op::xor_shift, TileOp::ixor_shift, TileOp::ixor_shift},
    {Op::less, TileOp::lt, TileOp::ilt},
    {Op::less_equal, TileOp::le, TileOp::ile},
    {Op::equal, TileOp::eq, TileOp::ieq},
    {Op::not_equal, TileOp::ne, TileOp::ine},
    {Op::neg, TileOp::neg, TileOp::ineg},
    {Op::bit_not, TileOp::inot, TileOp::inot},
    {Op::abs, TileOp::abs, TileOp::iabs},
    {Op::floor, TileOp::floor, TileOp::floor},
    {Op::sqrt, TileOp::sqrt, TileOp::sqrt},
    {Op::exp, TileOp::exp, TileOp::exp},
    {Op::log, TileOp::log, TileOp::log},
    {Op::tanh, TileOp::tanh, TileOp::tanh},
    {Op::sigmoid, TileOp::sigmoid, TileOp::sigmoid},
    {Op::sin, TileOp::sin, TileOp::sin},
    {Op::cos, TileOp::cos, TileOp::cos},
    {Op::to_real, TileOp::to_real, TileOp::to_real},
    {Op::to_integer, TileOp::bool_to_int, TileOp::bool_to_int},
    {Op::select, TileOp::select, TileOp::select},
};

TileOp instruction(const Graph& graph, const GraphNode& node) {
  if (node.op == Op::gather) {
    return node.kind == ValueKind::real      ? TileOp::gather_f32
           : node.kind == ValueKind::integer ? TileOp::gather_i32
                                             : TileOp::gather_bool;
  }
  const ValueKind kind = node.count == 0 ? node.kind : graph.nodes[node.args[0]].kind;
  const auto* entry = std::find_if(std::begin(kInstructions), std::end(kInstructions),
                                   [&](const Instructions& i) { return i.op == node.op; });
  return kind == ValueKind::real ? entry->real : entry->integer;
}

uint32_t constant_bits(const GraphNode& node) {
  if (node.kind == ValueKind::real) return std::bit_cast<uint32_t>(program::to_f32(node.number));
  const int32_t value = node.kind == ValueKind::boolean ? -node.integer : node.integer;
  return static_cast<uint32_t>(value);
}

TileShape leaf_shape(Op op) {
  switch (op) {
    case Op::score:
      return TileShape::full;
    case Op::key:
      return TileShape::key;
    case Op::head:  // a tile may hold rows of several heads
    case Op::query:
    case Op::row:
      return TileShape::row;
    default:
      return TileShape::one;
  }
}

TileShape join(TileShape a, TileShape b) {
  if (a == b || b == TileShape::one) return a;
  return a == TileShape::one ? b : TileShape::full;
}

// Hands out slots by the lives of the values in them.
class Slots {
 public:
  int take() {
    const auto free = std::find(used_.begin(), used_.end(), false);
    const int slot = static_cast<int>(free - used_.begin());
    if (free == used_.end()) used_.push_back(true);
    used_[slot] = true;
    require(slot < kMaxTileSlots, "program: more than {} values are needed at one time",
            kMaxTileSlots);
    return slot;
  }
  void free(int slot) { used_[slot] = false; }
  int count() const { return static_cast<int>(used_.size()); }

 private:
  std::vector<bool> used_;
};

}  // namespace

TileProgram lower(const Expr& score, const Expr& mask, std::span<const Expr> outputs) {
  require(score.empty() || score.kind() != ValueKind::boolean,
          "program: a score is a number, not boolean");
  require(mask.empty() || mask.kind() == ValueKind::boolean,
          "program: a mask is boolean, not a number");
  std::vector<Expr> roots{score.empty() ? score : to_real(score), mask};
  for (const Expr& output : outputs) {
    require(!output.empty() && output.kind() != ValueKind::boolean,
            "program: an output is a number, not {}", output.empty() ? "empty" : "boolean");
    roots.push_back(output);
  }
  const Graph graph = program::cheaper(program::flatten(roots));
  const int count = static_cast<int>(graph.nodes.size());
  require(count <= kMaxTileInstructions, "program: {} operations, more than {}", count,
          kMaxTileInstructions);

  std::vector<int> last_use(graph.nodes.size());
  for (int n = 0; n < count; ++n) {
    last_use[n] = n;
    for (int k = 0; k < graph.nodes[n].count; ++k) last_use[graph.nodes[n].args[k]] = n;
  }
  for (const int root : graph.roots) {
    if (root >= 0) last_use[root] = count;
  }

  TileProgram result;
  for (const Array& array : graph.arrays) {
    TileArray view{.data = array.data(), .rank = array.rank()};
    for (int axis = 0; axis < array.rank(); ++axis) {
      view.shape[axis] = array.shape(axis);
      view.strides[axis] = array.stride(axis);
    }
    result.arrays.push_back(view);
  }
  std::vector<int> slot_of(graph.nodes.size());
  std::vector<TileShape> shapes(graph.nodes.size());
  Slots slots;
  for (int n = 0; n < count; ++n) {
    const GraphNode& node = graph.nodes[n];
    TileShape shape = leaf_shape(node.op);
    for (int k = 0; k < node.count; ++k) shape = join(shape, shapes[node.args[k]]);
    shapes[n] = shape;
    // Operands that die here: those of this shape before the result takes a slot, others after.
    const auto release = [&](bool same_shape) {
      for (int k = 0; k < node.count; ++k) {
        const int arg = node.args[k];
        const bool repeated =
            std::find(node.args.begin(), node.args.begin() + k, arg) != node.args.begin() + k;
        if (last_use[arg] == n && !repeated && (shapes[arg] == shape) == same_shape) {
          slots.free(slot_of[arg]);
        }
      }
    };
    TileInstruction code{.op = instruction(graph, node), .shape = shape};
    uint16_t* const operands[] = {&code.a, &code.b, &code.c, &code.d};
    for (int k = 0; k < node.count; ++k) {
      *operands[k] = static_cast<uint16_t>(slot_of[node.args[k]]);
    }
    release(true);
    slot_of[n] = slots.take();
    release(false);
    code.to = static_cast<uint16_t>(slot_of[n]);
    if (node.op == Op::gather) code.array = static_cast<uint16_t>(node.array);
    if (node.op == Op::constant) code.bits = constant_bits(node);
    result.code.push_back(code);
  }
  result.slots = slots.count();
  if (graph.roots[0] >= 0) result.score = slot_of[graph.roots[0]];
  if (graph.roots[1] >= 0) result.mask = slot_of[graph.roots[1]];
  for (std::size_t k = 2; k < graph.roots.size(); ++k) {
    result.outputs.push_back(slot_of[graph.roots[k]]);
  }
  return result;
}

}  // namespace regard
