// prepare_tile_program: from instructions on slots to steps on memory. Types and shapes are
// checked, work that does not vary inside a tile goes first, values that vary by row and key share
// as few buffers as their lives allow (the first cache holds a block of rows), and comparisons that
// only narrow the mask write its bits themselves.
#include <algorithm>
#include <optional>
#include <string_view>

#include "base/check.h"
#include "interpreter/signature.h"
#include "interpreter/steps.h"

namespace regard {
namespace {

constexpr int kBufferBudget = 48;  // rows of 128 numbers, the scores included: 24 KiB

bool holds(TileShape wide, TileShape narrow) {
  return wide == narrow || wide == TileShape::full || narrow == TileShape::one;
}

// A value: what one instruction made. Slots may be written again, values are not.
struct Value {
  uint8_t type;
  TileShape shape;
  int maker = -1;  // the draft that computes it; -1: no work
  int uses = 0;
  std::optional<TileBase> base = {};
  int32_t offset = 0;
  int last_use = -1;  // place in the order of row block work
};

struct Draft {
  uint8_t kernel;
  TileShape shape;
  uint16_t array = 0;
  int order;
  bool masks = false;  // the mask depends on it
  int to = -1;         // value; -1: an output, the masks or the scores, as the kernel says
  int output = -1;     // of a copy
  int operands = 0;
  int from[4] = {};
};

class Preparation {
 public:
  explicit Preparation(const TileProgram& program) : program_(program) {}

  PreparedTileProgram run() {
    read_code();
    recognise_forms();
    narrow_masks();
    store_score();
    store_outputs();
    order_work();
    place_values();
    for (const Draft& draft : drafts_) out_.steps.push_back(step_of(draft));
    return std::move(out_);
  }

 private:
  void read_code() {
    require(program_.slots >= 0 && program_.slots <= 65536, "tile program: slots is {}",
            program_.slots);
    slots_.assign(static_cast<std::size_t>(program_.slots), -1);
    for (std::size_t i = 0; i < program_.code.size(); ++i) read(program_.code[i], i);
    score_ = result("score", program_.score, kReal);
    mask_ = result("mask", program_.mask, kTruth);
    find_poison();
    for (const int slot : program_.outputs) {
      require(slot >= 0, "tile program: an output has no slot");
      outputs_.push_back(result("output", slot, kReal | kInteger));
    }
  }

  int result(std::string_view name, int slot, uint8_t type) {
    if (slot < 0) return -1;
    require(slot < program_.slots && slots_[static_cast<std::size_t>(slot)] >= 0,
            "tile program: {} is slot {}, which nothing writes", name, slot);
    const int value = slots_[static_cast<std::size_t>(slot)];
    require((at(value).type & type) != 0, "tile program: {} (slot {}) is not a {}", name, slot,
            type == kTruth  ? "truth value"
            : type == kReal ? "real"
                            : "number");
    ++at(value).uses;
    return value;
  }

  void read(const TileInstruction& code, std::size_t index) {
    require(code.op <= TileOp::gather_bool && code.shape <= TileShape::full,
            "tile program: instruction {} is none (op {}, shape {})", index,
            static_cast<int>(code.op), static_cast<int>(code.shape));
    const std::string_view name = kTileOpNames[static_cast<std::size_t>(code.op)];
    require(code.to < program_.slots, "tile program: instruction {} ({}) writes slot {} of {}",
            index, name, code.to, program_.slots);
    const bool gathers = code.op >= TileOp::gather_f32;
    require(!gathers || code.array < program_.arrays.size(),
            "tile program: instruction {} ({}) reads array {} of {}", index, name, code.array,
            program_.arrays.size());
    const int rank = gathers ? program_.arrays[code.array].rank : 0;
    require(rank >= 0 && rank <= 4, "tile program: array {} has rank {}, not 0 .. 4", code.array,
            rank);
    const Signature expected = signature(code.op, rank);
    Draft draft{static_cast<uint8_t>(code.op), code.shape, code.array, 2 * static_cast<int>(index)};
    draft.operands = expected.operands;
    uint8_t common = 0xff;
    const uint16_t from[4] = {code.a, code.b, code.c, code.d};
    for (int k = 0; k < expected.operands; ++k) {
      require(from[k] < program_.slots && slots_[from[k]] >= 0,
              "tile program: instruction {} ({}) reads slot {}, which nothing wrote before", index,
              name, from[k]);
      const int value = slots_[from[k]];
      const uint8_t allowed = k == 0 ? expected.first : expected.others;
      require((at(value).type & allowed) != 0,
              "tile program: instruction {} ({}) cannot read the type of slot {}", index, name,
              from[k]);
      require(holds(code.shape, at(value).shape),
              "tile program: instruction {} ({}) is narrower than slot {}", index, name, from[k]);
      if (k > 0 || code.op != TileOp::select) common &= at(value).type;
      draft.from[k] = value;
      ++at(value).uses;
    }
    require(!expected.agree || common != 0, "tile program: instruction {} ({}) mixes types", index,
            name);
    const bool truth = code.op == TileOp::constant_i32 && (code.bits == 0 || ~code.bits == 0);
    const int made = static_cast<int>(values_.size());
    values_.push_back(
        {static_cast<uint8_t>(expected.result != 0 ? expected.result | truth * kTruth : common),
         code.shape});
    Value& value = values_.back();
    if (code.op == TileOp::load_score) {
      require(code.shape == TileShape::full, "tile program: load_score's shape is not full");
      value.base = TileBase::scores;
    } else if (within(code.op, TileOp::constant_f32, TileOp::constant_i32)) {
      value.shape = TileShape::one;
      value.base = TileBase::constants;
      value.offset = static_cast<int32_t>(out_.constants.size());
      out_.constants.insert(out_.constants.end(), 16, code.bits);
    } else {
      const bool by_row = code.op == TileOp::load_head || code.op == TileOp::load_query ||
                          code.op == TileOp::load_row;
      if (within(code.op, TileOp::load_batch, TileOp::load_row)) {
        // A leaf is as narrow as it is, whatever the instruction says.
        draft.shape = by_row                        ? TileShape::row
                      : code.op == TileOp::load_key ? TileShape::key
                                                    : TileShape::one;
        value.shape = draft.shape;
        require(holds(code.shape, draft.shape), "tile program: {}'s shape is too narrow", name);
      }
      if (code.op == TileOp::to_real && (at(draft.from[0]).type & kInteger) == 0) {
        draft.kernel = kTruthToReal;
      }
      draft.to = made;
      value.maker = static_cast<int>(drafts_.size());
      drafts_.push_back(draft);
    }
    slots_[code.to] = made;
  }

  // Which gathers spoil a mask, and which only a score.
  void find_poison() {
    std::vector<bool> masks(values_.size());
    if (mask_ >= 0) masks[index(mask_)] = true;
    for (auto draft = drafts_.rbegin(); draft != drafts_.rend(); ++draft) {
      draft->masks = masks[index(draft->to)];
      for (int k = 0; draft->masks && k < draft->operands; ++k) masks[index(draft->from[k])] = true;
      const auto op = static_cast<TileOp>(draft->kernel);
      if (within(op, TileOp::gather_i32, TileOp::gather_bool)) poisons_[draft->masks] = true;
    }
  }

  // What makes a value that nobody else reads, if it is this operation on every score.
  Draft* only_maker(int value, TileOp op) {
    const int maker = at(value).maker;
    if (maker < 0 || at(value).uses != 1) return nullptr;
    Draft& draft = drafts_[index(maker)];
    return draft.kernel == static_cast<uint8_t>(op) && draft.shape == TileShape::full ? &draft
                                                                                      : nullptr;
  }
  bool by_row_at_most(int value) {
    return at(value).shape == TileShape::one || at(value).shape == TileShape::row;
  }

  // ALiBi has a loop of its own, with the same bits: what is between its operations stays in
  // registers (docs/decisions/0009).
  void recognise_forms() {
    std::vector<const Draft*> dropped;
    for (Draft& draft : drafts_) {
      if (draft.shape != TileShape::full) continue;
      const auto op = static_cast<TileOp>(draft.kernel);
      if (op == TileOp::add || op == TileOp::sub) take_distance(draft, dropped);
    }
    drop([&](const Draft& draft) {
      return std::find(dropped.begin(), dropped.end(), &draft) != dropped.end();
    });
  }

  // x ± c · real(j - i) or (i - j), c at most by row.
  void take_distance(Draft& sum, std::vector<const Draft*>& dropped) {
    const bool subtracts = static_cast<TileOp>(sum.kernel) == TileOp::sub;
    for (int k = subtracts ? 1 : 0; k < 2; ++k) {
      const int x = sum.from[1 - k];
      Draft* const product = only_maker(sum.from[k], TileOp::mul);
      if (product == nullptr || at(x).shape != TileShape::full || x == sum.from[k]) continue;
      for (int side = 0; side < 2; ++side) {
        Draft* const real = only_maker(product->from[side], TileOp::to_real);
        const int factor = product->from[1 - side];
        if (real == nullptr || !by_row_at_most(factor)) continue;
        Draft* const distance = only_maker(real->from[0], TileOp::isub);
        if (distance == nullptr) continue;
        const bool reversed = at(distance->from[1]).shape == TileShape::key;
        const int key = distance->from[reversed ? 1 : 0], row = distance->from[reversed ? 0 : 1];
        if (at(key).shape != TileShape::key || at(row).shape != TileShape::row) continue;
        const int from[] = {x, factor, key, row};
        std::copy(from, from + 4, sum.from);
        sum.operands = 4;
        sum.kernel = static_cast<uint8_t>(kAddDistance + 2 * subtracts + reversed);
        dropped.insert(dropped.end(), {product, real, distance});
        return;
      }
    }
  }

  template <class Dropped>
  void drop(const Dropped& dropped) {
    std::size_t kept = 0;
    for (std::size_t i = 0; i < drafts_.size(); ++i) {
      if (dropped(drafts_[i])) continue;
      drafts_[kept] = drafts_[i];
      if (drafts_[kept].to >= 0) at(drafts_[kept].to).maker = static_cast<int>(kept);
      ++kept;
    }
    drafts_.resize(kept);
  }

  // The mask as a conjunction: each part narrows the bits when it is known.
  void narrow_masks() {
    if (mask_ < 0) return;
    std::vector<int> parts{mask_};
    std::vector<bool> dropped(drafts_.size());
    while (!parts.empty()) {
      const int part = parts.back();
      parts.pop_back();
      const int maker = at(part).maker;
      if (maker >= 0 && at(part).uses == 1 && drafts_[index(maker)].shape == TileShape::full) {
        Draft& draft = drafts_[index(maker)];
        const auto op = static_cast<TileOp>(draft.kernel);
        if (draft.kernel == static_cast<uint8_t>(TileOp::iand)) {
          parts.insert(parts.end(), draft.from, draft.from + 2);
          dropped[index(maker)] = true;
          continue;
        }
        if (within(op, TileOp::lt, TileOp::ine)) {
          draft.kernel = mask_compare(op);
          draft.to = -1;
          continue;
        }
      }
      Draft draft{kMaskAnd, TileShape::full, 0, maker < 0 ? 0 : drafts_[index(maker)].order + 1};
      draft.operands = 1;
      draft.from[0] = part;
      drafts_.push_back(draft);
      dropped.push_back(false);
    }
    drop([&](const Draft& draft) {
      return dropped[static_cast<std::size_t>(&draft - drafts_.data())];
    });
  }

  // The last computation writes the new score itself where nobody reads the old one after it.
  void store_score() {
    if (score_ < 0 || at(score_).base == TileBase::scores) return;
    const auto maker = std::find_if(drafts_.begin(), drafts_.end(),
                                    [&](const Draft& draft) { return draft.to == score_; });
    if (maker != drafts_.end() && at(score_).shape == TileShape::full) {
      const bool read_later = std::any_of(drafts_.begin(), drafts_.end(), [&](const Draft& draft) {
        if (draft.order <= maker->order) return false;
        return std::any_of(draft.from, draft.from + draft.operands,
                           [&](int from) { return at(from).base == TileBase::scores; });
      });
      if (!read_later) {
        at(score_).base = TileBase::scores;
        return;
      }
    }
    Draft copy{kCopy, TileShape::full, 0, 2 * static_cast<int>(program_.code.size())};
    copy.operands = 1;
    copy.from[0] = score_;
    drafts_.push_back(copy);
  }

  // A value that goes nowhere else is computed where the caller wants it.
  void store_outputs() {
    for (std::size_t k = 0; k < outputs_.size(); ++k) {
      Value& value = at(outputs_[k]);
      out_.outputs.push_back(value.shape);
      const auto maker = std::find_if(drafts_.begin(), drafts_.end(),
                                      [&](const Draft& draft) { return draft.to == outputs_[k]; });
      if (maker != drafts_.end() && value.shape == TileShape::full && !value.base) {
        value.base = TileBase::outputs;
        value.offset = static_cast<int32_t>(k);
        continue;
      }
      Draft copy{kCopy, value.shape, 0, maker == drafts_.end() ? -1 : maker->order + 1};
      copy.operands = 1;
      copy.from[0] = outputs_[k];
      copy.output = static_cast<int>(k);
      drafts_.push_back(copy);
    }
  }

  void order_work() {
    std::sort(drafts_.begin(), drafts_.end(), [](const Draft& a, const Draft& b) {
      const bool a_full = a.shape == TileShape::full, b_full = b.shape == TileShape::full;
      return a_full != b_full ? b_full : a.order < b.order;
    });
    out_.tile_steps =
        static_cast<int>(std::count_if(drafts_.begin(), drafts_.end(), [](const Draft& draft) {
          return draft.shape != TileShape::full;
        }));
    for (std::size_t i = 0; i < drafts_.size(); ++i) {
      for (int k = 0; k < drafts_[i].operands; ++k) {
        at(drafts_[i].from[k]).last_use = static_cast<int>(i);
      }
    }
  }

  void place_values() {
    int32_t numbers = 0;
    for (int plane = 0; plane < 2; ++plane) {
      if (!poisons_[plane]) continue;
      out_.poison[plane] = numbers;
      numbers += kFoldRows * kTilePanels / 2;  // 16 bits each
    }
    // Buffers are numbered first: their size depends on how many there are.
    int buffers = 0;
    std::vector<int> free;
    std::vector<int> placed;
    for (int i = 0; i < static_cast<int>(drafts_.size()); ++i) {
      const Draft& draft = drafts_[index(i)];
      const auto release = [&](int value) {
        Value& dead = at(value);
        if (dead.shape != TileShape::full || dead.base != TileBase::tile || dead.last_use > i) {
          return;
        }
        if (std::find(free.begin(), free.end(), dead.offset) == free.end()) {
          free.push_back(dead.offset);
        }
      };
      // A result may take the place of its operands: each number is read before it is written.
      for (int k = 0; k < draft.operands; ++k) release(draft.from[k]);
      if (draft.to < 0 || at(draft.to).base) continue;
      Value& made = at(draft.to);
      made.base = TileBase::tile;
      if (made.shape == TileShape::full) {
        if (free.empty()) free.push_back(buffers++);
        made.offset = free.back();
        free.pop_back();
        placed.push_back(draft.to);
        release(draft.to);  // a result that nobody reads
      } else {
        made.offset = numbers;
        numbers += made.shape == TileShape::row   ? kFoldRows
                   : made.shape == TileShape::key ? kTileKeys
                                                  : 16;
      }
    }
    const int rows = kBufferBudget / (buffers + 1 + static_cast<int>(outputs_.size())) / 4 * 4;
    out_.block_rows = std::clamp(rows, 4, kFoldRows);
    const int32_t size = out_.block_rows * kTileKeys;
    for (const int value : placed) at(value).offset = numbers + at(value).offset * size;
    out_.numbers = numbers + int64_t{buffers} * size;
  }

  TileOperand operand(int value, TileShape shape) {
    const Value& from = at(value);
    TileOperand where{*from.base, true, from.offset, 0};
    if (shape != TileShape::one && from.shape == TileShape::one) {
      where.vector = false;
    } else if (shape == TileShape::full && from.shape == TileShape::row) {
      where.base = TileBase::rows;
      where.vector = false;
      where.row_step = 1;
    } else if (from.shape == TileShape::full) {
      where.row_step = kTileKeys;
    }
    return where;
  }

  TileStep step_of(const Draft& draft) {
    TileStep step;
    step.kernel = draft.kernel;
    step.shape = draft.shape;
    step.array = draft.array;
    step.masks = draft.masks;
    step.operands = static_cast<uint8_t>(draft.operands);
    for (int k = 0; k < draft.operands; ++k) {
      step.operand[k] = operand(draft.from[k], draft.shape);
      step.form = static_cast<uint8_t>(step.form | step.operand[k].vector << k);
    }
    if (draft.to >= 0) {
      step.to = operand(draft.to, draft.shape);
    } else if (draft.output >= 0) {
      const int row_step = draft.shape == TileShape::full ? kTileKeys : 0;
      step.to = {TileBase::outputs, true, draft.output, row_step};
    } else if (draft.kernel == kCopy) {
      step.to = {TileBase::scores, true, 0, kTileKeys};
    } else {
      step.to = {TileBase::masks, true, 0, kTilePanels};
    }
    return step;
  }

  static std::size_t index(int i) { return static_cast<std::size_t>(i); }
  Value& at(int value) { return values_[index(value)]; }

  const TileProgram& program_;
  std::vector<int> slots_;  // the value each slot holds by now
  std::vector<Value> values_;
  std::vector<Draft> drafts_;
  int score_ = -1, mask_ = -1;  // values
  std::vector<int> outputs_;    // values
  bool poisons_[2] = {};        // scores; scores and masks
  PreparedTileProgram out_;
};

}  // namespace

void prepare_tile_program(TileProgram& program) { program.prepared = Preparation(program).run(); }

int64_t tile_program_scratch(const TileProgram& program) noexcept {
  constexpr int64_t kLine = 64;
  return program.prepared.numbers * static_cast<int64_t>(sizeof(float)) + kLine;
}

}  // namespace regard
