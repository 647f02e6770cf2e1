// Decode asks the system for nothing after its first token, and loading keeps no second copy of a
// matrix: this program counts every call of operator new and the bytes that are held.
#include <gtest/gtest.h>
#include <malloc.h>

#include <atomic>
#include <cstdlib>
#include <new>

#include "families/families.h"
#include "formats/safetensors.h"
#include "models/family_tensors.h"
#include "runtime/batch.h"
#include "runtime/checkpoint.h"
#include "runtime/tiny_checkpoint.h"

namespace {

std::atomic<int64_t> allocations{0};
std::atomic<int64_t> held{0};  // bytes; those with an alignment of their own are not counted

void* counted(std::size_t bytes) {
  ++allocations;
  void* memory = std::malloc(bytes);
  held += static_cast<int64_t>(malloc_usable_size(memory));
  return memory;
}
void freed(void* memory) {
  held -= static_cast<int64_t>(malloc_usable_size(memory));
  std::free(memory);
}
void* counted_or_throw(std::size_t bytes) {
  void* memory = counted(bytes);
  if (memory == nullptr) throw std::bad_alloc();
  return memory;
}
void* counted_aligned(std::size_t bytes, std::align_val_t alignment) {
  ++allocations;
  const auto step = static_cast<std::size_t>(alignment);
  void* memory = std::aligned_alloc(step, (bytes + step - 1) / step * step);
  if (memory == nullptr) throw std::bad_alloc();
  return memory;
}

}  // namespace

void* operator new(std::size_t bytes) { return counted_or_throw(bytes); }
void* operator new[](std::size_t bytes) { return counted_or_throw(bytes); }
void* operator new(std::size_t bytes, const std::nothrow_t&) noexcept { return counted(bytes); }
void* operator new[](std::size_t bytes, const std::nothrow_t&) noexcept { return counted(bytes); }
void* operator new(std::size_t bytes, std::align_val_t a) { return counted_aligned(bytes, a); }
void* operator new[](std::size_t bytes, std::align_val_t a) { return counted_aligned(bytes, a); }
void operator delete(void* memory) noexcept { freed(memory); }
void operator delete[](void* memory) noexcept { freed(memory); }
void operator delete(void* memory, std::size_t) noexcept { freed(memory); }
void operator delete[](void* memory, std::size_t) noexcept { freed(memory); }
void operator delete(void* memory, const std::nothrow_t&) noexcept { freed(memory); }
void operator delete[](void* memory, const std::nothrow_t&) noexcept { freed(memory); }
void operator delete(void* memory, std::align_val_t) noexcept { std::free(memory); }
void operator delete[](void* memory, std::align_val_t) noexcept { std::free(memory); }
void operator delete(void* memory, std::size_t, std::align_val_t) noexcept { std::free(memory); }
void operator delete[](void* memory, std::size_t, std::align_val_t) noexcept { std::free(memory); }

namespace regard {
namespace {

TEST(Counting, SeesAnAllocation) {
  const int64_t before = allocations;
  const auto number = std::make_unique<int>(1);
  EXPECT_GT(allocations, before);
  EXPECT_EQ(*number, 1);
}

// Past a page's end, a tile's and a chunk of keys: none of them needs new memory.
TEST(Decode, AllocatesNothingAfterTheFirstToken) {
  for (const int threads : {1, 2}) {
    SCOPED_TRACE(threads);
    const Model model = load_tiny({}, threads);
    std::vector<int64_t> counts;
    counts.reserve(200);
    GenerateOptions options{.tokens = 160,
                            .sampling = {.temperature = 1, .top_k = 50, .top_p = 0.9f},
                            .ignore_eos = true};
    options.run.page = 16;
    std::vector<std::vector<TokenId>> prompts{random_ids(430, 1), random_ids(20, 2)};
    int64_t system_calls_at_start = 0;
    options.run.logits = [&](int64_t sequence, int64_t position, std::span<const float>) {
      if (sequence != 0 || position < 429) return;
      counts.push_back(allocations);
      if (position == 430) system_calls_at_start = Arena::global().counts().system_calls;
    };
    model.generate(prompts, options);
    ASSERT_EQ(counts.size(), 160u);
    // counts[i] is taken while token i is made: what the first decoded token needed is behind us.
    EXPECT_EQ(counts.back() - counts[2], 0);
    EXPECT_EQ(static_cast<int64_t>(Arena::global().counts().system_calls), system_calls_at_start);
  }
}

// GPT-2's matrices are stored transposed, Mixtral's experts apart, the halves of Llama's heads in
// another order: each is made when it is asked for and gone when it is released.
TEST(FamilyTensors, HoldNothingOfWhatTheyMadeOnceItIsReleased) {
  for (const auto& [name, made] : {std::pair("gpt2-1", "blk.1.ffn_up.weight"),
                                   std::pair("mixtral-1", "blk.0.ffn_gate_exps.weight"),
                                   std::pair("llama-1", "blk.0.attn_q.weight")}) {
    SCOPED_TRACE(name);
    const std::string folder = std::string(REGARD_REFERENCE_CASES) + "/" + name;
    const HfConfig config = HfConfig::open(folder);
    const Safetensors stored = Safetensors::open(folder);
    const models::Family& family = families::family_of(config);
    const models::Settings settings = families::read_config(config, family);
    const models::FamilyTensors tensors(stored, family, settings);
    const std::string wanted = made;
    const int64_t before = held;
    const TensorInfo& tensor = tensors.get(wanted);
    const int64_t with = held;
    EXPECT_GE(with, before + std::ssize(tensor.data));
    tensors.release(tensor.data);
    EXPECT_EQ(held, before);
  }
}

}  // namespace
}  // namespace regard
