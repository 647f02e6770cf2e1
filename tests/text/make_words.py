#!/usr/bin/env python3
"""WordPiece and Unigram against the `tokenizers` package.

    make_words.py                        writes golden/words/: small tokenizers, strings, answers
    make_words.py PROGRAM [COUNT [MAP]]  compares PROGRAM (tokenizer_lines) with the package on COUNT
                                         strings of each kind (100,000) and says how many differ;
                                         MAP: a JSON file with another precompiled_charsmap

Needs the package tokenizers (made with 0.23.3), Python 3.11 or 3.12.

A line of a golden file is a string, its ids, the range of bytes behind each, and what they decode
to without special tokens, apart by tabs; in strings backslash and the bytes below 0x20 and 0x7F
are written \\xHH. Ids and ranges are written in decimal, a range as begin-end.

The package's tables are older than ours (its normal forms are of Unicode 9, its categories of
Unicode 8): a character that both do not treat alike is left out. docs/tokenizers.md lists them.
"""
import base64
import collections
import json
import math
import os
import random
import subprocess
import sys
import tempfile
import unicodedata

from tokenizers import (AddedToken, Regex, Tokenizer, decoders, models, normalizers,
                        pre_tokenizers, processors, trainers)

from make_goldens import Strings, escape

HERE = os.path.dirname(os.path.abspath(__file__))
FOLDER = os.path.join(HERE, "golden", "words")
BERT_SPECIALS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]


# Characters that the package and Unicode 14 treat alike.

def alike(c):
    category = unicodedata.category(c)
    probe = {form: getattr(normalizers, form)() for form in ("NFC", "NFD", "NFKC", "NFKD")}
    if any(n.normalize_str(c) != unicodedata.normalize(form, c) for form, n in probe.items()):
        return False
    if category[0] == "M" and any(
            probe["NFD"].normalize_str(s) != unicodedata.normalize("NFD", s)
            for mark in "\u0334\u0345" for s in ("a" + c + mark, "a" + mark + c)):
        return False
    bert = normalizers.BertNormalizer
    stripped = bert(False, False, True, False).normalize_str("a" + c) == "a"
    cleaned = bert(True, False, False, False).normalize_str(c) == ""
    return (stripped == (category == "Mn")
            and (normalizers.StripAccents().normalize_str(c) == "") == (category[0] == "M")
            and (category in ("Zs", "Zl", "Zp") or cleaned == (category[0] == "C" and c not in "\t\n\r")
                 or c == "\ufffd")
            and (normalizers.Lowercase().normalize_str(c) == c.lower())
            and ((len(pre_tokenizers.BertPreTokenizer().pre_tokenize_str(f"a{c}a")) == 3)
                 == (category[0] == "P" or (c < "\x80" and category[0] == "S"))))


class Texts:
    """Strings of make_goldens.py and some more: both normal forms, long words, CJK."""

    def __init__(self, seed, specials):
        self.strings = Strings(seed, specials)
        self.random = random.Random(seed)
        self.known = {}
        self.specials = specials
        self.normalise = lambda text: text  # the tokenizer's, once there is one

    def agreed(self, text):
        for c in text:
            if c not in self.known:
                self.known[c] = alike(c)
        return all(self.known[c] for c in text)

    def long_word(self):
        return self.random.choice(["a", "é", "ab", "word", "中", "x1", "e\u0301"]) \
            * self.random.choice([10, 50, 99, 100, 101, 200])

    def joining(self):
        return "".join(self.random.choices(
            "e\u0301\u0327\u0345가\u1100\u1161\u11a8\u1e69\u0344\uff76\uff9e\u302e\u0f71\u0f72"
            "\U0001d165\U0001d15fİſﬁ①Ａ\u200b\u200d\xad", k=self.random.randint(1, 9)))

    def spells_special(self, text):
        """Normalisation makes a control token's text: the package takes it for one, and we do not."""
        written = self.normalise(text)
        return any(written.count(token) > text.count(token) for token in self.specials)

    def next(self):
        while True:
            text = self.random.choices(
                [self.strings.next, self.long_word, self.joining], [30, 1, 2])[0]()
            form = self.random.choice([None, None, None, "NFD", "NFC", "NFKD"])
            if form:
                text = unicodedata.normalize(form, text)
            if self.agreed(text) and not self.spells_special(text):
                return text


# A precompiled_charsmap in the manner of nmt_nfkc: SentencePiece's double array.

def charsmap(pairs):
    units, free = {0: 0}, lambda place: place not in units
    texts, offsets = bytearray(), {}
    for target in pairs.values():
        if target not in offsets:
            offsets[target] = len(texts)
            texts += target.encode() + b"\0"
    keys = {source.encode(): offsets[target] for source, target in pairs.items()}
    work = [(b"", 0)]
    while work:
        prefix, place = work.pop(0)
        below = sorted({key[len(prefix)] for key in keys if key.startswith(prefix) and key != prefix})
        labels = ([0] if prefix in keys else []) + below
        base = next(b for b in range(1, 1 << 21) if all(free(b ^ label) for label in labels))
        for label in labels:
            units[base ^ label] = label
        units[place] |= (place ^ base) << 10
        if prefix in keys:
            units[place] |= 1 << 8
            units[base] = 1 << 31 | keys[prefix]
        work += [(prefix + bytes([label]), base ^ label) for label in below]
    size = max(units) // 256 * 256 + 256
    trie = b"".join(units.get(place, 1 << 31).to_bytes(4, "little") for place in range(size))
    return len(trie).to_bytes(4, "little") + trie + bytes(texts)


def nmt_nfkc_like():
    """Fullwidth, ligatures, circled numbers, spaces, controls, accents in two parts, kana."""
    pairs = {chr(c): "" for c in (*range(0x01, 0x09), 0x0B, *range(0x0E, 0x20), 0x7F, 0x8F, 0x9F)}
    pairs |= {c: " " for c in "\t\n\f\r\u1680\u200b\u200e\u200f\u2028\u2029\u3000\ufeff\ufffd\xa0\u2003"}
    pairs["\r\n"] = " "
    for c in (*range(0xFF01, 0xFF9E), *range(0xFB00, 0xFB07), *range(0x2460, 0x2474), 0xAA, 0xBA, 0xBD,
              0x2122, 0x1F100, 0x3300, 0x2126, 0xF900, 0x1D400):
        pairs[chr(c)] = unicodedata.normalize("NFKC", chr(c))
    for letter in "aeioucnAEIOU":
        for mark in "\u0300\u0301\u0308\u0327":
            joined = unicodedata.normalize("NFC", letter + mark)
            if len(joined) == 1:
                pairs[letter + mark] = joined
    for c in range(0xFF76, 0xFF85):
        pairs[chr(c) + "\uff9e"] = unicodedata.normalize("NFKC", chr(c) + "\uff9e")
    return charsmap(pairs)


# The tokenizers: (how a vocabulary is trained, what stands around the model).

def common_texts(tokenizer, texts, alphabet):
    """Texts of the characters met most often: others are to be unknown."""
    drawn = [texts.next() for _ in range(6000)]
    normalised = [tokenizer.normalizer.normalize_str(text) for text in drawn]
    counts = collections.Counter("".join(normalised))
    common = {c for c, _ in counts.most_common(alphabet)}
    return [text for text, seen in zip(drawn, normalised)
            if len(text) < 60 and common.issuperset(seen)]


def frequent_pieces(tokenizer, texts, size, known):
    """[piece, score]: the package's trainer of Unigram meets NaN on texts like these, so the parts of
    words are counted; what is asked of a vocabulary here is many ways to cut, not good ones."""
    counts = collections.Counter()
    for text in texts:
        for word, _ in tokenizer.pre_tokenizer.pre_tokenize_str(
                tokenizer.normalizer.normalize_str(text)):
            counts.update(word[a:b] for a in range(min(len(word), 40))
                          for b in range(a + 1, min(len(word), a + 9) + 1))
    order = sorted(counts.keys() - known, key=lambda piece: (-counts[piece] * len(piece), piece))
    total = sum(counts.values())
    chosen = [p for p in order if len(p) == 1] + [p for p in order if len(p) > 1]
    return [[piece, math.log(counts[piece] / total)] for piece in chosen[:size]]


def word_piece(texts, size, lowercase, strip_accents):
    tokenizer = Tokenizer(models.WordPiece(unk_token="[UNK]", max_input_chars_per_word=100))
    tokenizer.normalizer = normalizers.BertNormalizer(
        lowercase=lowercase, strip_accents=strip_accents)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.decoder = decoders.WordPiece()
    tokenizer.train_from_iterator(common_texts(tokenizer, texts, size // 4), trainers.WordPieceTrainer(
        vocab_size=size, min_frequency=1, special_tokens=BERT_SPECIALS, show_progress=False))
    ids = [("[CLS]", tokenizer.token_to_id("[CLS]")), ("[SEP]", tokenizer.token_to_id("[SEP]"))]
    if lowercase:
        tokenizer.post_processor = processors.TemplateProcessing(
            single="[CLS] $A [SEP]", pair="[CLS] $A [SEP] $B:1 [SEP]:1", special_tokens=ids)
    else:
        tokenizer.post_processor = processors.BertProcessing(ids[1], ids[0])
    return tokenizer


def unigram(texts, size, normalizer, pre_tokenizer, decoder, byte_fallback, special, template):
    tokenizer = Tokenizer(models.Unigram())
    tokenizer.normalizer = normalizer
    tokenizer.pre_tokenizer = pre_tokenizer
    vocabulary = [[token, 0.0] for token in special]
    if byte_fallback:
        vocabulary += [[f"<0x{byte:02X}>", 0.0] for byte in range(256)]
    vocabulary += frequent_pieces(tokenizer, common_texts(tokenizer, texts, size // 4), size,
                                  {token for token, _ in vocabulary})
    tokenizer.model = models.Unigram([tuple(piece) for piece in vocabulary],
                                     special.index("<unk>"), byte_fallback)
    tokenizer.add_special_tokens(special)
    tokenizer.decoder = decoder
    # T5's extra ids: special, and they swallow the blanks before them.
    tokenizer.add_special_tokens([AddedToken("<extra_id_0>", lstrip=True, special=True)])
    tokenizer.add_tokens([AddedToken("Kept", normalized=True), AddedToken("one word", single_word=True)])
    tokenizer.post_processor = processors.TemplateProcessing(
        single=template, pair=None,
        special_tokens=[(t, tokenizer.token_to_id(t)) for t in special if t in template])
    return tokenizer


def kinds(size, map_bytes):
    bert = BERT_SPECIALS
    t5 = ["<pad>", "</s>", "<unk>"]
    xlm = ["<s>", "<pad>", "</s>", "<unk>"]
    mark = "\u2581"
    yield "wordpiece-uncased", bert, lambda t: word_piece(t, size, True, None)
    yield "wordpiece-cased", bert, lambda t: word_piece(t, size, False, False)
    yield "wordpiece-accents", bert, lambda t: word_piece(t, size, True, False)
    yield "unigram-charsmap", t5, lambda t: unigram(
        t, size, normalizers.Sequence([normalizers.Precompiled(map_bytes),
                                       normalizers.Replace(Regex(" {2,}"), " ")]),
        pre_tokenizers.Sequence([pre_tokenizers.WhitespaceSplit(), pre_tokenizers.Metaspace()]),
        decoders.Metaspace(), False, t5, "$A </s>")
    yield "unigram-bytes", xlm, lambda t: unigram(
        t, size, normalizers.Sequence([normalizers.Nmt(), normalizers.NFKC(),
                                       normalizers.Replace(Regex(" {2,}"), " "),
                                       normalizers.Strip(False, True)]),
        pre_tokenizers.Metaspace(prepend_scheme="first"),
        decoders.Sequence([decoders.Replace(mark, " "), decoders.ByteFallback(), decoders.Fuse(),
                           decoders.Strip(" ", 1, 0)]), True, xlm, "<s> $A </s>")
    yield "unigram-whole", xlm, lambda t: unigram(
        t, size, normalizers.Sequence([normalizers.NFD(), normalizers.StripAccents(),
                                       normalizers.Lowercase(), normalizers.Prepend(mark),
                                       normalizers.Replace(" ", mark)]),
        pre_tokenizers.Metaspace(prepend_scheme="never", split=False),
        decoders.Metaspace(prepend_scheme="never"), False, xlm, "<s> $A </s>")


# What the package says, in bytes.

def answer(tokenizer, text):
    encoding = tokenizer.encode(text)
    place, at = [0], 0
    for c in text:
        at += len(c.encode())
        place.append(at)
    ranges = [(place[a], place[b]) for a, b in encoding.offsets]
    return (encoding.ids, ranges, tokenizer.decode(encoding.ids),
            tokenizer.decode(encoding.ids, skip_special_tokens=False))


def write_goldens():
    os.makedirs(FOLDER, exist_ok=True)
    for seed, (name, special, make) in enumerate(kinds(700, nmt_nfkc_like())):
        texts = Texts(seed, special + ["<extra_id_0>", "Kept", "one word"])
        tokenizer = make(texts)
        texts.normalise = tokenizer.normalizer.normalize_str
        with open(os.path.join(FOLDER, name + ".json"), "w", encoding="utf-8", newline="\n") as file:
            json.dump(json.loads(tokenizer.to_str()), file, ensure_ascii=False, separators=(",", ":"))
        with open(os.path.join(FOLDER, name + ".txt"), "w", encoding="utf-8", newline="\n") as file:
            for _ in range(300):
                text = texts.next()
                ids, ranges, decoded, _ = answer(tokenizer, text)
                file.write("\t".join([escape(text), " ".join(map(str, ids)),
                                      " ".join(f"{a}-{b}" for a, b in ranges), escape(decoded)]) + "\n")
        print(name, tokenizer.get_vocab_size(), "tokens")


def compare(program, count, map_bytes):
    wrong = 0
    for seed, (name, special, make) in enumerate(kinds(3000, map_bytes), start=100):
        texts = Texts(seed, special + ["<extra_id_0>", "Kept", "one word"])
        tokenizer = make(texts)
        texts.normalise = tokenizer.normalizer.normalize_str
        drawn = [texts.next() for _ in range(count)]
        with tempfile.NamedTemporaryFile("w", suffix=".json", encoding="utf-8") as file:
            file.write(tokenizer.to_str())
            file.flush()
            ran = subprocess.run([program, file.name], stdout=subprocess.PIPE, text=True, check=True,
                                 input="\n".join(text.encode().hex() for text in drawn) + "\n")
        lines = ran.stdout.splitlines()
        assert len(lines) == len(drawn), (len(lines), len(drawn))
        differ = {"ids": 0, "ranges": 0, "decoded": 0, "decoded whole": 0}
        tokens = 0
        for text, line in zip(drawn, lines):
            ids, ranges, decoded, whole = line.split("\t")
            got = ([int(i) for i in ids.split()],
                   [tuple(map(int, r.split("-"))) for r in ranges.split()],
                   bytes.fromhex(decoded).decode(), bytes.fromhex(whole).decode())
            wanted = answer(tokenizer, text)
            tokens += len(wanted[0])
            for what, a, b in zip(differ, got, wanted):
                if a != b:
                    differ[what] += 1
                    if differ[what] <= 3:
                        print(f"  {name}: {what} of {text!r}\n    {a}\n    {b}")
        wrong += sum(differ.values())
        print(f"{name}: {count} strings, {tokens} tokens; differ: "
              + ", ".join(f"{what} {n}" for what, n in differ.items()))
    return wrong


def main():
    if len(sys.argv) == 1:
        write_goldens()
        return 0
    map_bytes = nmt_nfkc_like()
    if len(sys.argv) > 3:
        with open(sys.argv[3], encoding="utf-8") as file:
            map_bytes = base64.b64decode(json.load(file)["precompiled_charsmap"])
    return compare(sys.argv[1], int(sys.argv[2]) if len(sys.argv) > 2 else 100_000, map_bytes) != 0


if __name__ == "__main__":
    sys.exit(main())
