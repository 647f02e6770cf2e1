#include "text/tokenizer.h"

#include <algorithm>
#include <limits>
#include <utility>

#include "base/check.h"
#include "text/byte_pairs.h"
#include "text/model.h"
#include "text/special_tokens.h"
#include "text/vocabulary.h"
#include "unicode/utf8.h"

namespace regard {

using text::quoted;

struct Tokenizer::Tables {
  explicit Tables(TokenizerSpec&& spec);

  int32_t checked(int32_t id, std::string_view call) const;
  void encode(std::string_view text, SpecialText special, text::Output& out) const;

  text::PreTokenizer pre;  // first: a model that is not supported is the clearest thing to say
  text::Vocabulary vocabulary;
  std::unique_ptr<const text::Model> model;
  text::SpecialTokens always, parsed;  // `parsed` includes `always`
  std::optional<int32_t> bos, eos;
  bool add_bos = false, add_eos = false;
  std::vector<int32_t> ends;  // sorted

 private:
  void find_ends(const TokenizerSpec& spec);
};

namespace {

// Ends of a turn that files are known to leave out of their keys.
constexpr std::string_view kEndTexts[] = {"<|eot_id|>",    "<|im_end|>", "<|end|>", "<end_of_turn>",
                                          "<|endoftext|>", "<|eom_id|>", "<EOT>"};

text::PreTokenizer supported_pre_tokenizer(const TokenizerSpec& spec) {
  if (spec.model != "gpt2")
    fail(ErrorKind::unreadable, "tokenizer: model {} is not supported; supported: gpt2",
         quoted(spec.model));
  const auto pre = text::find_pre_tokenizer(spec.pre);
  if (!pre)
    fail(ErrorKind::unreadable, "tokenizer: pre-tokenizer {} is not supported; supported: {}",
         quoted(spec.pre), text::pre_tokenizer_names());
  return *pre;
}

void check_id(std::string_view name, std::optional<int32_t> id, int32_t size) {
  if (id && (*id < 0 || *id >= size))
    fail(ErrorKind::unreadable, "tokenizer: {} id {} is outside the vocabulary of {} tokens", name,
         *id, size);
}

}  // namespace

Tokenizer::Tables::Tables(TokenizerSpec&& spec)
    : pre(supported_pre_tokenizer(spec)),
      vocabulary(spec.tokens, std::move(spec.types)),
      bos(spec.bos),
      eos(spec.eos) {
  const int32_t size = vocabulary.size();
  check_id("bos", spec.bos, size);
  check_id("eos", spec.eos, size);
  check_id("eot", spec.eot, size);
  check_id("eom", spec.eom, size);
  check_id("unknown", spec.unknown, size);
  add_bos = spec.add_bos.value_or(pre.add_bos);
  add_eos = spec.add_eos.value_or(false);
  if (add_bos && !bos)
    fail(ErrorKind::unreadable, "tokenizer: BOS is to be added, but none is named");
  if (add_eos && !eos)
    fail(ErrorKind::unreadable, "tokenizer: EOS is to be added, but none is named");

  model = std::make_unique<text::BytePairs>(vocabulary, spec.merges, pre);
  for (int32_t id = 0; id < size; ++id) {
    const bool user_defined = vocabulary.type(id) == TokenType::user_defined;
    if (user_defined) always.add(vocabulary.text(id), id);
    if (user_defined || vocabulary.is_reserved(id)) parsed.add(vocabulary.text(id), id);
  }
  always.finish();
  parsed.finish();
  find_ends(spec);
}

void Tokenizer::Tables::find_ends(const TokenizerSpec& spec) {
  for (const auto& id : {spec.eos, spec.eot, spec.eom})
    if (id) ends.push_back(*id);
  for (const std::string_view text : kEndTexts)
    if (const auto id = vocabulary.find(text)) ends.push_back(*id);
  std::sort(ends.begin(), ends.end());
}

int32_t Tokenizer::Tables::checked(int32_t id, std::string_view call) const {
  require(id >= 0 && id < vocabulary.size(), "{}: id {} is outside the vocabulary of {} tokens",
          call, id, vocabulary.size());
  return id;
}

void Tokenizer::Tables::encode(std::string_view text, SpecialText special,
                               text::Output& out) const {
  const auto size = static_cast<int64_t>(text.size());
  require(size <= std::numeric_limits<int32_t>::max(),
          "encode: the text has {} bytes, more than {}", size, std::numeric_limits<int32_t>::max());
  const int64_t bad = unicode::first_invalid_utf8(text);
  require(bad < 0, "encode: the text is not UTF-8 at byte {} of {}", bad, size);

  const text::SpecialTokens& specials = special == SpecialText::parse ? parsed : always;
  auto match = specials.find(text, 0);
  const bool has_bos = match && match->begin == 0 && match->id == bos;
  if (add_bos && !has_bos) out.add(*bos, 0, 0);
  int64_t at = 0;
  for (; match; match = specials.find(text, at)) {
    model->encode(text, at, match->begin, out);
    out.add(match->id, match->begin, match->end);
    at = match->end;
  }
  model->encode(text, at, size, out);
  if (add_eos) out.add(*eos, size, size);
}

Tokenizer::Tokenizer(TokenizerSpec spec) : tables_(std::make_shared<Tables>(std::move(spec))) {}

std::vector<int32_t> Tokenizer::encode(std::string_view text, SpecialText special) const {
  std::vector<int32_t> ids;
  text::Output out(ids, nullptr);
  tables_->encode(text, special, out);
  return ids;
}

Encoding Tokenizer::encode_with_ranges(std::string_view text, SpecialText special) const {
  Encoding encoding;
  text::Output out(encoding.ids, &encoding.ranges);
  tables_->encode(text, special, out);
  return encoding;
}

std::string Tokenizer::decode(std::span<const int32_t> ids, ControlTokens control) const {
  std::string bytes;
  for (const int32_t id : ids) {
    tables_->checked(id, "decode");
    if (control == ControlTokens::keep || !tables_->vocabulary.is_reserved(id))
      bytes += tables_->model->bytes(id);
  }
  std::string decoded;
  if (unicode::append_well_formed(bytes, decoded) > 0) decoded += unicode::kReplacement;
  return decoded;
}

std::string_view Tokenizer::bytes(int32_t id) const {
  return tables_->model->bytes(tables_->checked(id, "bytes"));
}

std::string Tokenizer::display(int32_t id) const {
  std::string_view left = tables_->model->bytes(tables_->checked(id, "display"));
  std::string shown;
  while (!left.empty()) {
    const unicode::Utf8Step step = unicode::utf8_step(left);
    const std::string_view part = left.substr(0, static_cast<size_t>(step.length));
    if (step.kind == unicode::Utf8Step::Kind::character) {
      shown += part;
    } else {
      for (const char c : part) shown += fmt::format("<0x{:02X}>", static_cast<unsigned char>(c));
    }
    left.remove_prefix(part.size());
  }
  return shown;
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
  return std::binary_search(tables_->ends.begin(), tables_->ends.end(), id);
}

}  // namespace regard
