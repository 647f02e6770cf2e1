#!/usr/bin/env python3
"""Trains small tokenizers with the `tokenizers` package and compares regard's with it.

    make_json_goldens.py --write                      writes golden/json/NAME.{json,txt}
    make_json_goldens.py --compare PROGRAM [COUNT] [NAME...]   100,000 strings for each, by
                                                      PROGRAM = .../tests/text_tokenize_lines

Needs the package tokenizers (made with 0.23.3). A line of NAME.txt is a JSON list: the text, its
ids, its ranges in bytes (begin, end, begin, ...), and what the ids decode to without and with
special tokens. A byte-level token that is a part of a character has the range of the character.

Strings come from make_goldens.py's generator; the same seed gives the same ones.
"""
import importlib.util
import json
import os
import subprocess
import sys
import types
import unicodedata

from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers

HERE = os.path.dirname(os.path.abspath(__file__))
GOLDEN = os.path.join(HERE, "golden", "json")
SPACE = "\u2581"
LLAMA3 = (r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}"
          r"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+")
# A pattern that regard has no scanner for: it runs in PCRE2.
GPT4O = (r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+(?i:'s|'t|'re|'ve|'m|'ll|'d)?"
         r"|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*(?i:'s|'t|'re|'ve|'m|'ll|'d)?"
         r"|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+")


def load_strings():
    """The generator of make_goldens.py, whose other needs are not ours."""
    sys.modules.setdefault("gguf", types.ModuleType("gguf"))
    spec = importlib.util.spec_from_file_location("make_goldens", os.path.join(HERE, "make_goldens.py"))
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.Strings


def corpus(strings):
    return [strings.prose() for _ in range(3000)] + [strings.next() for _ in range(1500)] + \
        [strings.code() for _ in range(500)]


def byte_level(strings, split, *, post=None, size=700, prefix=False, normalizer=None, **bpe):
    tokenizer = Tokenizer(models.BPE(**bpe))
    tokenizer.pre_tokenizer = split
    if normalizer:
        tokenizer.normalizer = normalizer
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.train_from_iterator(corpus(strings), trainers.BpeTrainer(
        vocab_size=size, initial_alphabet=pre_tokenizers.ByteLevel.alphabet(), show_progress=False,
        special_tokens=["<s>", "</s>", "<|im_end|>"]))
    tokenizer.add_tokens([AddedToken("<sl", normalized=False), AddedToken("word", single_word=True),
                          AddedToken("the", lstrip=True, rstrip=True, single_word=True)])
    if post:
        tokenizer.post_processor = post(tokenizer)
    return tokenizer


def piece_level(strings, *, normalizer=None, split=None, decoder=None, size=700, post=True, bytes_=True):
    special = ["<unk>", "<s>", "</s>"] + ([f"<0x{b:02X}>" for b in range(256)] if bytes_ else [])
    tokenizer = Tokenizer(models.BPE(unk_token="<unk>", fuse_unk=True, byte_fallback=bytes_))
    if normalizer:
        tokenizer.normalizer = normalizer
    if split:
        tokenizer.pre_tokenizer = split
    else:  # trained word by word, used without: that is how Llama's came to be
        tokenizer.pre_tokenizer = pre_tokenizers.Metaspace(SPACE, "never", True)
    tokenizer.decoder = decoder
    tokenizer.train_from_iterator([s for s in corpus(strings)], trainers.BpeTrainer(
        vocab_size=size + len(special), limit_alphabet=200, show_progress=False,
        initial_alphabet=[SPACE], special_tokens=special))
    document = json.loads(tokenizer.to_str())
    document["added_tokens"] = document["added_tokens"][:3]
    if not split:
        document["pre_tokenizer"] = None
    tokenizer = Tokenizer.from_str(json.dumps(document))
    tokenizer.add_tokens([AddedToken("<sl", normalized=True), AddedToken("word", normalized=False, rstrip=True)])
    if post:
        tokenizer.post_processor = processors.TemplateProcessing(
            single="<s> $A </s>", special_tokens=[("<s>", 1), ("</s>", 2)])
    return tokenizer


def template(tokenizer):
    return processors.Sequence([processors.ByteLevel(trim_offsets=False), processors.TemplateProcessing(
        single="<s> $A", special_tokens=[("<s>", 0)])])


def split_by(pattern, behavior="isolated", invert=False):
    return pre_tokenizers.Sequence([
        pre_tokenizers.Split(Regex(pattern), behavior, invert),
        pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)])


LLAMA_DECODER = decoders.Sequence([decoders.Replace(SPACE, " "), decoders.ByteFallback(), decoders.Fuse(),
                                   decoders.Strip(" ", 1, 0)])
KINDS = {
    "gpt2": lambda s: byte_level(s, pre_tokenizers.ByteLevel(add_prefix_space=False)),
    "roberta": lambda s: byte_level(s, pre_tokenizers.ByteLevel(add_prefix_space=True),
                                    post=lambda t: processors.RobertaProcessing(("</s>", 1), ("<s>", 0))),
    "llama3": lambda s: byte_level(s, split_by(LLAMA3), post=template, ignore_merges=True),
    "gpt4o": lambda s: byte_level(s, split_by(GPT4O, "removed", True), post=template),
    "nfc": lambda s: byte_level(s, split_by(LLAMA3.replace("{1,3}", "")), normalizer=normalizers.NFC()),
    "steps": lambda s: byte_level(s, pre_tokenizers.Sequence([
        pre_tokenizers.Punctuation("contiguous"), pre_tokenizers.Split("a", "merged_with_previous"),
        pre_tokenizers.Split(Regex(r"\d"), "merged_with_next"), pre_tokenizers.Digits(False),
        pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=True)])),
    "llama": lambda s: piece_level(s, decoder=LLAMA_DECODER, normalizer=normalizers.Sequence(
        [normalizers.Prepend(SPACE), normalizers.Replace(" ", SPACE)])),
    "gemma": lambda s: piece_level(s, normalizer=normalizers.Replace(" ", SPACE), decoder=decoders.Sequence(
        [decoders.Replace(SPACE, " "), decoders.ByteFallback(), decoders.Fuse()])),
    "mistral": lambda s: piece_level(s, split=pre_tokenizers.Metaspace(SPACE, "first", False),
                                     decoder=LLAMA_DECODER),
    "metaspace": lambda s: piece_level(s, split=pre_tokenizers.Metaspace(SPACE, "always", True), bytes_=False,
                                       decoder=decoders.Metaspace(SPACE, "always", True)),
    "whitespace": lambda s: piece_level(s, split=pre_tokenizers.Whitespace(), bytes_=False, post=False,
                                        decoder=None),
}


def answer(tokenizer, text):
    encoding = tokenizer.encode(text)
    at = [0]
    for c in text:
        at.append(at[-1] + len(c.encode()))
    ranges = [at[i] for pair in encoding.offsets for i in pair]
    return [encoding.ids, ranges, tokenizer.decode(encoding.ids), tokenizer.decode(encoding.ids, False)]


def widened(text, ranges):
    """Ranges that begin or end inside a character, widened to it."""
    data = text.encode()
    out = []
    for i, at in enumerate(ranges):
        step = -1 if i % 2 == 0 else 1
        while at < len(data) and data[at] & 0xC0 == 0x80:
            at += step
        out.append(at)
    return out


def build(name, seed):
    strings = load_strings()(seed, ["<s>", "</s>", "<|im_end|>", "<sl", "word", "the"])
    return KINDS[name](strings), strings


# The package normalises with tables of Unicode 9 and knows the punctuation of Unicode 8, regard
# those of utf8proc: compared are the characters on which they cannot differ.
OLD_TABLES = {"nfc", "steps"}


def next_text(name, strings):
    while True:
        text = strings.next()
        if name not in OLD_TABLES or all(unicodedata.ucd_3_2_0.category(c) != "Cn" for c in text):
            return text


def write():
    os.makedirs(GOLDEN, exist_ok=True)
    for seed, name in enumerate(KINDS):
        tokenizer, strings = build(name, 100 + seed)
        with open(os.path.join(GOLDEN, name + ".json"), "w", encoding="utf-8", newline="\n") as file:
            json.dump(json.loads(tokenizer.to_str()), file, ensure_ascii=False, separators=(",", ":"))
        with open(os.path.join(GOLDEN, name + ".txt"), "w", encoding="utf-8", newline="\n") as file:
            for _ in range(200):
                text = next_text(name, strings)
                file.write(json.dumps([text, *answer(tokenizer, text)], ensure_ascii=False,
                                      separators=(",", ":")) + "\n")


def compare(program, count, names):
    failed = False
    for seed, name in enumerate(KINDS):
        if names and name not in names:
            continue
        tokenizer, strings = build(name, 100 + seed)
        path = f"/tmp/regard-{name}.json"
        tokenizer.save(path)
        texts = [next_text(name, strings) for _ in range(count)]
        lines = subprocess.run([program, path], input="".join(json.dumps(t) + "\n" for t in texts),
                               stdout=subprocess.PIPE, encoding="utf-8", check=True).stdout.split("\n")[:-1]
        assert len(lines) == count, (len(lines), count)
        equal, shown = 0, 0
        for text, line in zip(texts, lines):
            ours, theirs = json.loads(line), answer(tokenizer, text)
            ours[1] = widened(text, ours[1])
            if ours == theirs:
                equal += 1
            elif shown < 3:
                shown += 1
                for i, what in enumerate(["ids", "ranges", "decoded", "kept"]):
                    if ours[i] != theirs[i]:
                        print(f"{name}: {text!r}: {what}\n  ours   {ours[i]}\n  theirs {theirs[i]}")
        print(f"{name}: {equal:,} of {count:,} equal", flush=True)
        failed = failed or equal != count
    return 1 if failed else 0


if __name__ == "__main__":
    if sys.argv[1] == "--write":
        write()
    else:
        sys.exit(compare(sys.argv[2], int((sys.argv[3:] or ["100000"])[0]), sys.argv[4:]))
