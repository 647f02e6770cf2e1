#include "regard/tokenizer.h"

#include <algorithm>
#include <limits>
#include <utility>

#include "base/check.h"
#include "text/tables.h"
#include "unicode/utf8.h"

namespace regard {

using normalise::Aligned;
using normalise::Tracking;
using Piece = text::SpecialTokens::Piece;

namespace {

// Ends of a turn that files are known to leave out of their keys.
constexpr std::string_view kEndTexts[] = {"<|eot_id|>",    "<|im_end|>", "<|end|>", "<end_of_turn>",
                                          "<|endoftext|>", "<|eom_id|>", "<EOT>"};

Tracking tracking(subwords::Output& out) {
  return out.ranges() != nullptr ? Tracking::on : Tracking::off;
}

// May [begin, end) name no control token?
bool is_plain(const EncodeOptions& options, int64_t begin, int64_t end) {
  if (options.special == SpecialText::plain) return true;
  const auto range = std::upper_bound(options.plain.begin(), options.plain.end(), begin,
                                      [](int64_t at, const ByteRange& r) { return at < r.end; });
  return range != options.plain.end() && range->begin < end;
}

Aligned part_of(const Aligned& text, int64_t begin, int64_t end) {
  Aligned part;
  part.tracking = text.tracking;
  part.text = text.text.substr(static_cast<size_t>(begin), static_cast<size_t>(end - begin));
  if (text.tracked()) part.origins.assign(text.origins.begin() + begin, text.origins.begin() + end);
  return part;
}

void check_options(std::string_view text, const EncodeOptions& options) {
  int64_t at = 0;
  for (const ByteRange& range : options.plain) {
    require(range.begin >= at && range.end >= range.begin &&
                range.end <= static_cast<int64_t>(text.size()),
            "encode: the plain part [{}, {}) is out of order or outside the text of {} bytes",
            range.begin, range.end, text.size());
    at = range.end;
  }
}

}  // namespace

void Tokenizer::Tables::finish(std::vector<std::optional<int32_t>> known_ends) {
  shown = subwords::StringTable(vocabulary.size());
  for (int32_t id = 0; id < vocabulary.size(); ++id)
    // A control token is its name: what a decoder puts around words is no part of it.
    shown.append(vocabulary.is_reserved(id) || vocabulary.text(id).empty()
                     ? std::string(vocabulary.text(id))
                     : parts::decode_one(decoder, inputs[id]));
  for (const auto& id : known_ends)
    if (id) generation_ends.push_back(*id);
  for (const std::string_view text : kEndTexts)
    if (const auto id = vocabulary.find(text)) generation_ends.push_back(*id);
  std::sort(generation_ends.begin(), generation_ends.end());
}

int32_t Tokenizer::Tables::checked(int32_t id, std::string_view call) const {
  require(id >= 0 && id < vocabulary.size(), "{}: id {} is outside the vocabulary of {} tokens",
          call, id, vocabulary.size());
  return id;
}

void Tokenizer::Tables::encode(std::string_view text, const EncodeOptions& options,
                               subwords::Output& out) const {
  const auto size = static_cast<int64_t>(text.size());
  require(size <= std::numeric_limits<int32_t>::max(),
          "encode: the text has {} bytes, more than {}", size, std::numeric_limits<int32_t>::max());
  const int64_t bad = unicode::first_invalid_utf8(text);
  require(bad < 0, "encode: the text is not UTF-8 at byte {} of {}", bad, size);
  check_options(text, options);

  raw.cut(
      text, [&](int64_t begin, int64_t end) { return is_plain(options, begin, end); },
      [&](const Piece& piece) {
        if (piece.id >= 0)
          out.add(piece.id, piece.begin, piece.end);
        else
          encode_part(text, piece, options, out);
      });
  if (out.ranges() != nullptr) parts::trim_ranges(ends, vocabulary, text, out.ids(), *out.ranges());
  if (!options.add_ends) return;
  std::vector<int32_t>& ids = out.ids();
  const bool has_bos =
      is_bos_once && !ends.before.empty() && !ids.empty() && ids.front() == ends.before.back();
  const size_t before = has_bos ? 0 : ends.before.size();
  ids.insert(ids.begin(), ends.before.begin(),
             ends.before.begin() + static_cast<std::ptrdiff_t>(before));
  ids.insert(ids.end(), ends.behind.begin(), ends.behind.end());
  if (std::vector<ByteRange>* const ranges = out.ranges()) {
    const int64_t last = ends_at_origin ? 0 : size;
    ranges->insert(ranges->begin(), before, ByteRange{0, 0});
    ranges->resize(ids.size(), ByteRange{last, last});
  }
}

void Tokenizer::Tables::encode_part(std::string_view text, Piece part, const EncodeOptions& options,
                                    subwords::Output& out) const {
  const std::string_view piece =
      text.substr(static_cast<size_t>(part.begin), static_cast<size_t>(part.end - part.begin));
  if (!normaliser) {
    if (normalised.empty()) return encode_words({piece, part.begin, tracking(out)}, out);
    return normalised.cut(
        piece,
        [&](int64_t begin, int64_t end) {
          return is_plain(options, part.begin + begin, part.begin + end);
        },
        [&](const Piece& inner) {
          const int64_t begin = part.begin + inner.begin, end = part.begin + inner.end;
          if (inner.id >= 0) return out.add(inner.id, begin, end);
          encode_words({text.substr(static_cast<size_t>(begin), static_cast<size_t>(end - begin)),
                        begin, tracking(out)},
                       out);
        });
  }
  // What is plain is known in the original text only: then each byte must know where it came from.
  const bool some_plain = !options.plain.empty() && !normalised.empty();
  const bool asked = some_plain || (pre_tokenizer && pre_tokenizer->asks_origin());
  Aligned aligned(piece, part.begin, asked ? Tracking::on : tracking(out));
  normaliser->apply(aligned);
  if (normalised.empty()) return encode_words({std::move(aligned), part.begin}, out);
  normalised.cut(
      aligned.text,
      [&](int64_t begin, int64_t end) {
        if (!some_plain) return options.special == SpecialText::plain;
        const ByteRange range = aligned.origin_of(begin, end);
        return is_plain(options, range.begin, range.end);
      },
      [&](const Piece& inner) {
        if (inner.id < 0) {
          const int64_t origin = inner.begin == 0 ? part.begin : part.begin + 1;
          return encode_words({part_of(aligned, inner.begin, inner.end), origin}, out);
        }
        const ByteRange range = aligned.tracked() && inner.begin < inner.end
                                    ? aligned.origin_of(inner.begin, inner.end)
                                    : ByteRange{};
        out.add(inner.id, range.begin, range.end);
      });
}

void Tokenizer::Tables::encode_words(split::Words words, subwords::Output& out) const {
  if (pre_tokenizer) pre_tokenizer->apply(words);
  const std::string_view text = words.text();
  const size_t first = out.ids().size();
  for (const split::Span span : words.spans()) model->encode(text, span.begin, span.end, out);
  if (std::vector<ByteRange>* const ranges = out.ranges())
    for (size_t i = first; i < ranges->size(); ++i)
      (*ranges)[i] = words.origin_of((*ranges)[i].begin, (*ranges)[i].end);
}

Tokenizer::Tokenizer(TokenizerSpec spec) : tables_(Tables::from(std::move(spec))) {}

Tokenizer Tokenizer::from_json(std::string_view tokenizer_json,
                               std::string_view tokenizer_config_json) {
  return Tokenizer(Tables::from_json(tokenizer_json, tokenizer_config_json));
}

std::vector<int32_t> Tokenizer::encode(std::string_view text, const EncodeOptions& options) const {
  std::vector<int32_t> ids;
  subwords::Output out(ids, nullptr);
  tables_->encode(text, options, out);
  return ids;
}

Encoding Tokenizer::encode_with_ranges(std::string_view text, const EncodeOptions& options) const {
  Encoding encoding;
  subwords::Output out(encoding.ids, &encoding.ranges);
  tables_->encode(text, options, out);
  return encoding;
}

std::string Tokenizer::decode(std::span<const int32_t> ids, ControlTokens control) const {
  std::string decoded;
  parts::Decoding decoding(tables_->decoder);
  for (const int32_t id : ids) {
    tables_->checked(id, "decode");
    if (tables_->is_decoded(id, control)) decoding.push(tables_->inputs[id], decoded);
  }
  decoding.finish(decoded);
  return decoded;
}

std::string_view Tokenizer::bytes(int32_t id) const {
  return tables_->shown[tables_->checked(id, "bytes")];
}

std::string Tokenizer::display(int32_t id) const {
  std::string_view left = tables_->shown[tables_->checked(id, "display")];
  std::string display;
  while (!left.empty()) {
    const unicode::Utf8Step step = unicode::utf8_step(left);
    const std::string_view part = left.substr(0, static_cast<size_t>(step.length));
    if (step.kind == unicode::Utf8Step::Kind::character) {
      display += part;
    } else {
      for (const char c : part) display += fmt::format("<0x{:02X}>", static_cast<unsigned char>(c));
    }
    left.remove_prefix(part.size());
  }
  return display;
}

TokenType Tokenizer::type(int32_t id) const {
  return tables_->vocabulary.type(tables_->checked(id, "type"));
}

int32_t Tokenizer::size() const noexcept { return tables_->vocabulary.size(); }
std::optional<int32_t> Tokenizer::bos() const noexcept { return tables_->bos; }
std::optional<int32_t> Tokenizer::eos() const noexcept { return tables_->eos; }

std::optional<int32_t> Tokenizer::find(std::string_view text) const noexcept {
  return tables_->vocabulary.find(text);
}

bool Tokenizer::ends_generation(int32_t id) const noexcept {
  const std::vector<int32_t>& ends = tables_->generation_ends;
  return std::binary_search(ends.begin(), ends.end(), id);
}

}  // namespace regard
