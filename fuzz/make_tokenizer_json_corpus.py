#!/usr/bin/env python3
"""Writes the seeds of tokenizer_json_fuzz: the tokenizers of tests/text/golden with few tokens, and
files that ask for too much or contradict themselves.

    fuzz/make_tokenizer_json_corpus.py [FOLDER]   (fuzz/corpus/tokenizer_json if it is left out)
"""
import copy
import json
import pathlib
import sys

HERE = pathlib.Path(__file__).resolve().parent
GOLDEN = HERE.parent / "tests" / "text" / "golden"
TOKENS = 70


def small(tokenizer):
    """The same parts over a vocabulary of TOKENS entries, and the merges that lead to them."""
    tokenizer = copy.deepcopy(tokenizer)
    model = tokenizer["model"]
    named = {token["content"] for token in tokenizer["added_tokens"]}
    if model["type"] == "Unigram":
        keep = model["vocab"][:TOKENS]
        model["vocab"] = keep
        # Ids are places in the list, so those of tokens added behind it move.
        known = {entry[0] for entry in keep}
        tokenizer["added_tokens"] = [t for t in tokenizer["added_tokens"] if t["content"] in known]
        return tokenizer
    merges = model.get("merges", [])[: TOKENS // 3]
    pairs = [m.split(" ") if isinstance(m, str) else m for m in merges]
    wanted = named | {part for pair in pairs for part in (*pair, "".join(pair))}
    words = list(model["vocab"])
    wanted |= set(words[:10] + words[100::40])
    model["vocab"] = {token: i for token, i in model["vocab"].items() if token in wanted}
    if "merges" in model:
        model["merges"] = merges
    return tokenizer


def tiny():
    return {
        "version": "1.0",
        "added_tokens": [
            {"id": 3, "content": "<s>", "special": True, "normalized": False},
            {"id": 4, "content": "a b", "special": False, "lstrip": True, "rstrip": True,
             "single_word": True, "normalized": True},
        ],
        "normalizer": None,
        "pre_tokenizer": None,
        "post_processor": None,
        "decoder": None,
        "model": {"type": "BPE", "vocab": {"a": 0, "b": 1, "ab": 2}, "merges": ["a b"]},
    }


def with_part(**parts):
    tokenizer = tiny()
    for key, value in parts.items():
        if isinstance(value, dict) and key == "model":
            tokenizer["model"].update(value)
        else:
            tokenizer[key] = value
    return tokenizer


def replace(text, content):
    return {"type": "Replace", "pattern": {"String": text}, "content": content}


def split(regex, behaviour="Isolated"):
    return {"type": "Split", "pattern": {"Regex": regex}, "behavior": behaviour, "invert": False}


def normalisers(*steps):
    return with_part(normalizer={"type": "Sequence", "normalizers": list(steps)})


def pre_tokenizers(*steps):
    return with_part(pre_tokenizer={"type": "Sequence", "pretokenizers": list(steps)})


def decoders(*steps):
    return with_part(decoder={"type": "Sequence", "decoders": list(steps)})


def hostile():
    forms = [{"type": kind} for kind in ("NFD", "NFKC", "Lowercase", "StripAccents", "Nmt", "NFC")]
    cuts = [split("\\s+", b) for b in ("Removed", "MergedWithPrevious", "MergedWithNext",
                                       "Contiguous")]
    space = "\u2581"
    return {
        "tiny": tiny(),
        "grows_in_normaliser": normalisers(*[replace("a", "aa")] * 60),
        "grows_at_prefix": normalisers({"type": "Prepend", "prepend": "a" * 700}),
        "grows_in_decoder": decoders(*[replace("a", "aa")] * 60),
        "forms": normalisers(*forms),
        "bert_twice": normalisers({"type": "BertNormalizer"}, {"type": "BertNormalizer"}),
        "strips": normalisers({"type": "Strip", "strip_left": True, "strip_right": True},
                              {"type": "Replace", "pattern": {"Regex": "\\A +| +\\z| {2,}"},
                               "content": " "}),
        "goes_back": pre_tokenizers(split("(a+)+$")),
        "looks_around": pre_tokenizers(split("(?<=a)(?=b)|\\p{L}{1,3}?|(?i:'s)|[^\\r\\n]")),
        "cuts": pre_tokenizers(*cuts, {"type": "Digits", "individual_digits": True},
                               {"type": "Punctuation"}, {"type": "Whitespace"},
                               {"type": "FixedLength", "length": 2},
                               {"type": "CharDelimiterSplit", "delimiter": "e"}),
        "marks": pre_tokenizers({"type": "Metaspace", "replacement": space,
                                 "prepend_scheme": "first", "split": True},
                                {"type": "Metaspace", "replacement": "\u4e2d",
                                 "prepend_scheme": "always", "split": False}),
        "decoders": decoders({"type": "Metaspace", "replacement": "a"}, {"type": "ByteFallback"},
                             {"type": "Fuse"},
                             {"type": "Strip", "content": " ", "start": 1, "stop": 1}),
        "decoder_bytes": decoders({"type": "ByteLevel"}, replace("a", " "),
                                  {"type": "WordPiece", "prefix": "##", "cleanup": True}),
        "decoder_suffix": with_part(decoder={"type": "BPEDecoder", "suffix": "</w>"}),
        "trims": with_part(
            pre_tokenizer={"type": "ByteLevel", "add_prefix_space": True, "use_regex": True},
            post_processor={"type": "RobertaProcessing", "cls": ["<s>", 3], "sep": ["a", 0],
                            "trim_offsets": True, "add_prefix_space": True}),
        "suffixes": with_part(model={"continuing_subword_prefix": "##", "byte_fallback": True,
                                     "end_of_word_suffix": "</w>", "fuse_unk": True,
                                     "unk_token": "b", "ignore_merges": True,
                                     "vocab": {"a": 0, "b": 1, "##b": 2, "a</w>": 5, "ab": 6,
                                               "<0xC3>": 7, "<0xA9>": 8}, "merges": [["a", "##b"]]}),
        "far_id": with_part(model={"vocab": {"a": 60000, "b": 1, "ab": 2}}),
        "too_far_id": with_part(model={"vocab": {"a": 2147483647, "b": 1, "ab": 2}}),
        "empty_token": with_part(model={"vocab": {"": 0, "a": 1, "b": 2, "ab": 5}}),
        "no_tokens": with_part(added_tokens=[], model={"vocab": {}, "merges": []}),
        "special_in_special": with_part(added_tokens=[
            {"id": 3, "content": "<s>", "special": True, "normalized": True},
            {"id": 4, "content": "<s><s>", "special": False, "normalized": False},
            {"id": 5, "content": " <", "special": True, "normalized": True}]),
        "normalised_away": with_part(
            normalizer=replace("a", ""),
            added_tokens=[{"id": 3, "content": "a", "special": False, "normalized": True},
                          {"id": 4, "content": "aba", "special": True, "normalized": True}],
            model={"vocab": {"x": 0, "b": 1}, "merges": []}),
        "word_pieces": tiny() | {"model": {
            "type": "WordPiece", "unk_token": "[UNK]", "continuing_subword_prefix": "##",
            "max_input_chars_per_word": 100, "vocab": {"[UNK]": 0, "a": 1, "##a": 2, "##aa": 5}}},
        "pieces": tiny() | {"model": {
            "type": "Unigram", "unk_id": 0, "byte_fallback": True,
            "vocab": [["<unk>", 0.0], ["a", -1.5], ["aa", -1e308], ["<s>", 0.0], ["a b", 0.0],
                      ["<0x61>", 1e308], ["<0xC3>", 0], ["", -1]]}},
    }


def main():
    folder = pathlib.Path(sys.argv[1]) if len(sys.argv) > 1 else HERE / "corpus/tokenizer_json"
    folder.mkdir(parents=True, exist_ok=True)
    for path in sorted(GOLDEN.glob("*/*.json")):
        tokenizer = small(json.loads(path.read_text(encoding="utf-8")))
        write(folder / path.stem, tokenizer)
    for name, tokenizer in hostile().items():
        write(folder / f"case_{name}", tokenizer)
    config = {"bos_token": {"content": "<s>"}, "eos_token": "ab"}
    (folder / "case_config").write_bytes(
        text_of(tiny()) + b"\0a<s>b ab\0" + text_of(config))
    (folder / "case_not_utf8").write_bytes(text_of(tiny()) + b"\0a\xc3\xffb")
    (folder / "case_cut").write_bytes(text_of(tiny())[:100])


def text_of(value):
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()


def write(path, tokenizer):
    path.write_bytes(text_of(tokenizer))


if __name__ == "__main__":
    main()
