#include "runtime/memory.h"

#include <utility>

#include "base/check.h"
#include "runtime/encode.h"
#include "tensor/pool.h"

namespace regard {
namespace {

std::vector<int64_t> lengths_of(const models::Encoder& encoder,
                                std::span<const std::vector<TokenId>> texts) {
  std::vector<int64_t> lengths;
  for (const std::vector<TokenId>& text : texts) {
    check_text(encoder.config, text);
    lengths.push_back(std::ssize(text));
  }
  return lengths;
}

// Pages in order, those of a text next to each other.
std::vector<std::vector<int32_t>> pages_of(std::span<const int64_t> lengths, int64_t page) {
  std::vector<std::vector<int32_t>> pages;
  int32_t next = 0;
  for (const int64_t length : lengths) {
    pages.emplace_back();
    for (int64_t key = 0; key < length; key += page) pages.back().push_back(next++);
  }
  return pages;
}

KvCacheShape shape_of(const models::DecoderConfig& config, const RunOptions& options,
                      std::span<const std::vector<int32_t>> pages) {
  int64_t count = 0;
  for (const std::vector<int32_t>& of_text : pages) count += std::ssize(of_text);
  return {.layers = config.layers,
          .pages = count,
          .page_keys = options.page,
          .kv_heads = config.kv_heads,
          .dim = config.dim,
          .dim_v = config.dim_v,
          .k_dtype = options.kv,
          .v_dtype = options.kv};
}

}  // namespace

Memory::Memory(const models::Decoder& model, const RunOptions& options,
               std::span<const std::vector<TokenId>> texts)
    : lengths_(lengths_of(*model.encoder, texts)),
      pages_(pages_of(lengths_, options.page)),
      cache_(shape_of(model.config, options, pages_)) {
  EncoderPass pass(*model.encoder);
  std::vector<Segment> segments;
  for (std::size_t done = 0; done < texts.size();) {
    const auto count = static_cast<std::size_t>(EncoderPass::share(texts.subspan(done)));
    const Tensor states = pass.run(texts.subspan(done, count));
    segments.assign(pass.segments().begin(), pass.segments().end());
    for (std::size_t i = 0; i < count; ++i) segments[i].block_table = pages_[done + i];
    for (const nn::Block& block : model.blocks) block.cross->remember(states, segments, cache_);
    done += count;
  }
}

Segment Memory::segment(int64_t text, int64_t first_row, int64_t rows) const {
  const auto at = static_cast<std::size_t>(text);
  return {.first_row = first_row, .rows = rows, .keys = lengths_[at], .block_table = pages_[at]};
}

}  // namespace regard
