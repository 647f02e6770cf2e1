// Packing: a stored matrix becomes panels once, when it is loaded. Codes are moved, never changed,
// so a packed matrix is as large as the file's (K formats: their 6-bit scales become bytes, +3 %).
#include "matmul/pack.h"

#include <algorithm>
#include <bit>
#include <cstring>
#include <mutex>

#include "base/buffer.h"
#include "base/check.h"
#include "matmul/matmul.h"

namespace regard {
namespace {

static_assert(std::endian::native == std::endian::little, "stored blocks are little-endian");

// A kernel may read this far past the last number (it loads words at byte offsets).
constexpr int64_t kSlack = 64;

template <class T>
T load(const std::byte* from) {
  T x;
  std::memcpy(&x, from, sizeof x);
  return x;
}

uint64_t eight(const uint8_t* from) {
  uint64_t x;
  std::memcpy(&x, from, sizeof x);
  return x;
}

// Where one feature's numbers go: lane of a panel, `width` bytes a number.
void put(std::byte* to, int lane, const void* number, std::size_t width) {
  std::memcpy(to + static_cast<std::size_t>(lane) * width, number, width);
}

// ---- codes: 32 numbers of a row, one a byte ----

uint32_t squeeze_nibbles(uint64_t bytes) {  // the low nibble of each of 8 bytes
  bytes &= 0x0F0F0F0F0F0F0F0F;
  bytes = (bytes | bytes >> 4) & 0x00FF00FF00FF00FF;
  bytes = (bytes | bytes >> 8) & 0x0000FFFF0000FFFF;
  return static_cast<uint32_t>(bytes | bytes >> 16);
}
uint32_t squeeze_bytes(uint64_t bytes) {  // bytes 0, 2, 4 and 6
  bytes &= 0x00FF00FF00FF00FF;
  bytes = (bytes | bytes >> 8) & 0x0000FFFF0000FFFF;
  return static_cast<uint32_t>(bytes | bytes >> 16);
}

// Where 32 inputs of one feature go.
struct Run {
  std::byte* high;
  std::byte* eights;
  int64_t step;  // bytes from 8 inputs to the next
  int lane;
};

// matmul/pack.h says where each bit goes.
template <int kBits>
void put_codes(const uint8_t* codes, const Run& run) {
  uint32_t high[2] = {0, 0};
  for (int n = 0; n < 4; ++n) {
    const uint64_t bytes = eight(codes + 8 * n);
    const uint32_t nibbles = squeeze_nibbles(bytes);
    put(run.eights + n * run.step, run.lane, &nibbles, 4);
    const uint64_t above = bytes >> 4;
    if constexpr (kBits == 5) {
      const uint64_t bits = above & 0x0101010101010101;
      high[0] |= squeeze_bytes(bits | bits >> 7) << 2 * n;
    } else if constexpr (kBits == 6) {
      const uint64_t pairs = above & 0x0303030303030303;
      high[n / 2] |= squeeze_bytes(pairs | pairs >> 6) << 4 * (n % 2);
    }
  }
  for (int i = 0; i < kBits - 4; ++i) put(run.high + 4 * kPanel * i, run.lane, &high[i], 4);
}

// Low nibbles are numbers 0 .. 15, high nibbles 16 .. 31. flip: the sign bit of a signed format,
// whose file holds code + 8 (or 16).
void split_nibbles(const std::byte* quants, uint8_t flip, uint8_t* codes) {
  for (int i = 0; i < 16; ++i) {
    const uint8_t byte = std::to_integer<uint8_t>(quants[i]);
    codes[i] = static_cast<uint8_t>((byte & 15) ^ flip);
    codes[i + 16] = static_cast<uint8_t>((byte >> 4) ^ flip);
  }
}

void split_fives(const std::byte* high_bits, uint8_t flip, uint8_t* codes) {
  split_nibbles(high_bits + 4, flip & 15, codes);
  const uint32_t fifth = load<uint32_t>(high_bits);
  for (int i = 0; i < 32; ++i) {
    codes[i] = static_cast<uint8_t>(codes[i] | ((fifth >> i & 1) << 4 ^ (flip & 16)));
  }
}

// ---- blocks: one stored block of one feature into its panel ----

// The destination of a block.
struct Slot {
  std::byte* header;
  Run first;         // 32 inputs
  int64_t run_step;  // bytes from 32 inputs to the next
  int lane;

  Run run(int index) const {
    return {first.high + index * run_step, first.eights + index * run_step, first.step, lane};
  }
};

// scales: how many f16 the block begins with.
void put_scales(const std::byte* block, int scales, const Slot& slot) {
  for (int i = 0; i < scales; ++i) put(slot.header + 2 * kPanel * i, slot.lane, block + 2 * i, 2);
}

void put_q8_0(const std::byte* block, const Slot& slot) {
  put_scales(block, 1, slot);
  for (int i = 0; i < 32; ++i) {
    put(slot.first.eights + i / 8 * slot.first.step + i % 8 * kPanel, slot.lane, block + 2 + i, 1);
  }
}

template <int kScales>
void put_q4(const std::byte* block, const Slot& slot) {
  uint8_t codes[32];
  put_scales(block, kScales, slot);
  split_nibbles(block + 2 * kScales, kScales == 1 ? 8 : 0, codes);
  put_codes<4>(codes, slot.first);
}

template <int kScales>
void put_q5(const std::byte* block, const Slot& slot) {
  uint8_t codes[32];
  put_scales(block, kScales, slot);
  split_fives(block + 2 * kScales, kScales == 1 ? 16 : 0, codes);
  put_codes<5>(codes, slot.first);
}

void put_sub_scales(const std::byte* block, const Slot& slot) {
  put_scales(block, 2, slot);
  uint8_t s[12];
  std::memcpy(s, block + 4, sizeof s);
  for (int group = 0; group < 8; ++group) {
    uint8_t sub[2];  // scale, min
    if (group < 4) {
      sub[0] = s[group] & 63;
      sub[1] = s[group + 4] & 63;
    } else {
      sub[0] = static_cast<uint8_t>((s[group + 4] & 15) | s[group - 4] >> 6 << 4);
      sub[1] = static_cast<uint8_t>(s[group + 4] >> 4 | s[group] >> 6 << 4);
    }
    for (int i = 0; i < 2; ++i) {
      put(slot.header + (4 + 2 * group + i) * kPanel, slot.lane, &sub[i], 1);
    }
  }
}

template <int kBits>
void put_k_block(const std::byte* block, const Slot& slot) {
  put_sub_scales(block, slot);
  const std::byte* high = block + 16;
  const std::byte* quants = kBits == 5 ? high + 32 : high;
  for (int group = 0; group < 8; ++group) {
    uint8_t codes[32];
    for (int i = 0; i < 32; ++i) {
      const uint8_t byte = std::to_integer<uint8_t>(quants[32 * (group / 2) + i]);
      codes[i] = group % 2 == 0 ? byte & 15 : byte >> 4;
      if constexpr (kBits == 5) {
        codes[i] |= static_cast<uint8_t>((std::to_integer<uint8_t>(high[i]) >> group & 1) << 4);
      }
    }
    put_codes<kBits>(codes, slot.run(group));
  }
}

void put_q6_k(const std::byte* block, const Slot& slot) {
  put(slot.header, slot.lane, block + 208, 2);
  for (int i = 0; i < 16; ++i) put(slot.header + (2 + i) * kPanel, slot.lane, block + 192 + i, 1);
  for (int run = 0; run < 8; ++run) {
    const int half = run / 4;
    const int quarter = run % 4;
    const std::byte* low = block + 64 * half + 32 * (quarter % 2);
    const std::byte* high = block + 128 + 32 * half;
    uint8_t codes[32];
    for (int i = 0; i < 32; ++i) {
      const int nibble = std::to_integer<int>(low[i]) >> (quarter < 2 ? 0 : 4) & 15;
      const int pair = std::to_integer<int>(high[i]) >> 2 * quarter & 3;
      codes[i] = static_cast<uint8_t>((nibble | pair << 4) ^ 32);
    }
    put_codes<6>(codes, slot.run(run));
  }
}

using PutBlock = void (*)(const std::byte* block, const Slot& slot);

// Null for the plain formats.
PutBlock put_block(DType dtype) {
  switch (dtype) {
    case DType::q8_0:
      return put_q8_0;
    case DType::q4_0:
      return put_q4<1>;
    case DType::q4_1:
      return put_q4<2>;
    case DType::q5_0:
      return put_q5<1>;
    case DType::q5_1:
      return put_q5<2>;
    case DType::q4_k:
      return put_k_block<4>;
    case DType::q5_k:
      return put_k_block<5>;
    case DType::q6_k:
      return put_q6_k;
    default:
      return nullptr;
  }
}

// ---- memory ----

// Matrices are laid side by side in mappings large enough for large pages: with a page table of
// 4 kB pages one row's product reads a fifth slower (9.2 instead of 11.4 GB/s of q4_1, one core).
struct Slab {
  Buffer buffer;
  std::size_t used = 0;
};
constexpr std::size_t kSlab = std::size_t{32} << 20;

// Zeroed bytes that live as long as the result; a slab goes with its last matrix.
std::shared_ptr<std::byte> take(std::size_t bytes) {
  static std::mutex mutex;
  static std::weak_ptr<Slab> open;
  bytes = (bytes + kAlignment - 1) / kAlignment * kAlignment;
  const std::lock_guard lock(mutex);
  std::shared_ptr<Slab> slab = open.lock();
  if (slab == nullptr || slab->buffer.size() - slab->used < bytes) {
    slab = std::make_shared<Slab>(Slab{Buffer(std::max(bytes, kSlab), "packed weights")});
    if (bytes < kSlab) open = slab;
  }
  std::byte* const start = slab->buffer.data() + slab->used;
  slab->used += bytes;
  return {slab, start};
}

// ---- matrices ----

struct Source {
  DType dtype;
  const std::byte* rows;
  int64_t outputs;
  int64_t inputs;
  int64_t permute_halves;

  const std::byte* row(int64_t output) const {
    int64_t from = output;
    if (permute_halves != 0) {
      const int64_t half = permute_halves / 2;
      const int64_t at = output % permute_halves;
      from += (at < half ? 2 * at : 2 * (at - half) + 1) - at;
    }
    return rows + from * row_bytes(dtype, inputs);
  }
};

// count: at most 32 inputs.
template <class T>
void put_plain(const std::byte* from, int64_t count, int64_t panels, int64_t panel, int lane,
               std::byte* block) {
  for (int64_t k = 0; k < count; ++k) {
    const int64_t together = std::min<int64_t>(8, count - k / 8 * 8);
    const int64_t before = (k / 8 * 8 * panels + together * panel + k % 8) * kPanel;
    put(block + before * static_cast<int64_t>(sizeof(T)), lane, from + k * sizeof(T), sizeof(T));
  }
}

// Panels first .. first + panels - 1 into `block`, the group's memory. Lanes beyond the last
// feature stay zero.
void pack_group(const Source& source, int64_t first, int64_t panels, std::byte* block) {
  const PanelLayout layout = panel_layout(source.dtype);
  const PutBlock put_one = put_block(source.dtype);
  const int64_t stored_bytes = row_bytes(source.dtype, layout.block);
  for (int64_t k = 0; k < source.inputs; k += layout.block) {
    const int64_t count = std::min<int64_t>(layout.block, source.inputs - k);
    std::byte* const runs = block + panels * layout.header;
    for (int64_t panel = 0; panel < panels; ++panel) {
      for (int lane = 0; lane < kPanel; ++lane) {
        const int64_t output = (first + panel) * kPanel + lane;
        if (output >= source.outputs) break;
        const std::byte* from = source.row(output) + k / layout.block * stored_bytes;
        if (put_one != nullptr) {
          const Run run{runs + panel * layout.high,
                        runs + panels * layout.high + panel * layout.eight, panels * layout.eight,
                        lane};
          put_one(from, {block + panel * layout.header, run, panels * layout.run(), lane});
        } else if (source.dtype == DType::f32) {
          put_plain<float>(from, count, panels, panel, lane, block);
        } else {
          put_plain<uint16_t>(from, count, panels, panel, lane, block);
        }
      }
    }
    block += panels * layout.block_bytes();
  }
}

}  // namespace

PackedMatrix PackedMatrix::pack(DType dtype, std::span<const std::byte> rows, int64_t outputs,
                                int64_t inputs, ThreadPool& pool, int64_t permute_halves) {
  require(dtype != DType::f64 && dtype != DType::i8, "pack: weights cannot be {}",
          info(dtype).name);
  require(outputs > 0 && inputs > 0, "pack: outputs ({}) and inputs ({}) must be positive", outputs,
          inputs);
  const DTypeInfo& format = info(dtype);
  require(inputs % format.block_elements == 0,
          "pack: inputs ({}) is not a multiple of {}'s block ({})", inputs, format.name,
          format.block_elements);
  constexpr int64_t kLargest = int64_t{1} << 56;  // bytes; keeps every product below in range
  require(inputs < kLargest / 8 && outputs < kLargest / (row_bytes(dtype, inputs) + kSlack),
          "pack: {} x {} numbers are too many", outputs, inputs);
  require(static_cast<int64_t>(rows.size()) == outputs * row_bytes(dtype, inputs),
          "pack: {} x {} numbers of {} are {} bytes, not {}", outputs, inputs, format.name,
          outputs * row_bytes(dtype, inputs), rows.size());
  require(permute_halves >= 0 && permute_halves % 2 == 0 &&
              (permute_halves == 0 || outputs % permute_halves == 0),
          "pack: permute_halves ({}) is not even or does not divide outputs ({})", permute_halves,
          outputs);

  PackedMatrix packed;
  packed.dtype_ = dtype;
  packed.outputs_ = outputs;
  packed.inputs_ = inputs;
  const int64_t panels = panel_count(outputs);
  const int64_t bytes = panel_bytes(dtype, inputs);
  packed.bytes_ = panels * bytes;
  const std::shared_ptr<std::byte> memory = take(static_cast<std::size_t>(panels * bytes + kSlack));
  packed.data_ = memory;

  const Source source{dtype, rows.data(), outputs, inputs, permute_halves};
  pool.parallel_for((panels + kGroupPanels - 1) / kGroupPanels, [&](int64_t group, int) {
    const int64_t first = group * kGroupPanels;
    pack_group(source, first, std::min<int64_t>(kGroupPanels, panels - first),
               memory.get() + first * bytes);
  });
  return packed;
}

}  // namespace regard
