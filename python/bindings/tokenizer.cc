// Tokenizer and ChatTemplate. Offsets count characters, as Python's strings do.
#include "regard/tokenizer.h"

#include <nanobind/stl/optional.h>
#include <nanobind/stl/pair.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/string_view.h>
#include <nanobind/stl/vector.h>

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "model.h"
#include "regard/chat.h"

namespace regard::python {
namespace {

namespace nb = nanobind;
using namespace nb::literals;

using Offsets = std::vector<std::pair<int64_t, int64_t>>;

bool begins_character(char byte) { return (static_cast<unsigned char>(byte) & 0xC0) != 0x80; }

// character[b]: characters that begin before byte b of the text; [bytes + 1].
std::vector<int64_t> count_characters(std::string_view text) {
  std::vector<int64_t> before(text.size() + 1);
  for (size_t byte = 0; byte < text.size(); ++byte) {
    before[byte + 1] = before[byte] + (begins_character(text[byte]) ? 1 : 0);
  }
  return before;
}

// A token that ends within a character ends behind it; one that begins within it begins before it.
Offsets in_characters(std::string_view text, const std::vector<ByteRange>& ranges) {
  const std::vector<int64_t> before = count_characters(text);
  Offsets offsets;
  offsets.reserve(ranges.size());
  for (const ByteRange& range : ranges) {
    const auto begin = static_cast<size_t>(range.begin), end = static_cast<size_t>(range.end);
    const bool within = begin < text.size() && !begins_character(text[begin]);
    offsets.emplace_back(before[begin] - (within ? 1 : 0), before[end]);
  }
  return offsets;
}

EncodeOptions encode_options(bool special, bool add_ends) {
  return {.special = special ? SpecialText::parse : SpecialText::plain, .add_ends = add_ends};
}

ControlTokens control(bool keep_special) {
  return keep_special ? ControlTokens::keep : ControlTokens::drop;
}

std::optional<DateTime> date_time(const std::optional<std::vector<int>>& now) {
  if (!now) return std::nullopt;
  return DateTime{now->at(0), now->at(1), now->at(2), now->at(3), now->at(4), now->at(5)};
}

}  // namespace

void bind_tokenizer(nb::module_& module) {
  nb::class_<Tokenizer>(module, "Tokenizer", "Text to token ids and back.")
      .def_static("from_json", &Tokenizer::from_json, "tokenizer_json"_a, "tokenizer_config_json"_a)
      .def_prop_ro("size", &Tokenizer::size)
      .def_prop_ro("bos", &Tokenizer::bos)
      .def_prop_ro("eos", &Tokenizer::eos)
      .def("find", &Tokenizer::find, "text"_a)
      .def("display", &Tokenizer::display, "id"_a)
      .def("ends_generation", &Tokenizer::ends_generation, "id"_a)
      .def(
          "encode",
          [](const Tokenizer& self, std::string_view text, bool special, bool add_ends) {
            const nb::gil_scoped_release released;
            return self.encode(text, encode_options(special, add_ends));
          },
          "text"_a, "special"_a, "add_ends"_a)
      .def(
          "encode_with_offsets",
          [](const Tokenizer& self, std::string_view text, bool special, bool add_ends) {
            const nb::gil_scoped_release released;
            Encoding encoding = self.encode_with_ranges(text, encode_options(special, add_ends));
            return std::pair(std::move(encoding.ids), in_characters(text, encoding.ranges));
          },
          "text"_a, "special"_a, "add_ends"_a)
      .def(
          "decode",
          [](const Tokenizer& self, const std::vector<int32_t>& ids, bool keep_special) {
            const nb::gil_scoped_release released;
            return self.decode(ids, control(keep_special));
          },
          "ids"_a, "keep_special"_a);

  nb::class_<RenderedChat>(module, "RenderedChat", "A conversation as text.")
      .def_ro("text", &RenderedChat::text);

  nb::class_<ChatTemplate>(module, "ChatTemplate", "A conversation as text, by Jinja.")
      .def(
          "__init__",
          [](ChatTemplate* self, std::string_view source) { new (self) ChatTemplate(source); },
          "source"_a)
      .def_prop_ro("source", &ChatTemplate::source)
      .def(
          "render",
          [](const ChatTemplate& self, std::string_view variables,
             const std::optional<std::vector<int>>& now) {
            return self.render_json(variables, date_time(now));
          },
          "variables"_a, "now"_a.none(), nb::call_guard<nb::gil_scoped_release>());
}

}  // namespace regard::python
