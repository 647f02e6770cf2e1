#!/usr/bin/env python3
"""Makes golden/*.txt: generated strings and the ids that the `tokenizers` package gives them.

    make_goldens.py MODEL.gguf PROMPTS.json

MODEL.gguf brings vocabulary and merges (byte-level BPE); PROMPTS.json is a list of cases with
"prompt" and "ids" (under "cases"), which are checked against the package and stored too.
Needs the packages tokenizers (made with 0.23.3) and gguf (0.19.0), Python 3.11 or 3.12.

A line of a golden file is a string, a tab, and its ids. In the string, backslash and the bytes
below 0x20 and 0x7F are written \\xHH. An id is three characters of base 64 (A-Z a-z 0-9 + /, the
highest digit first). decode.txt turns it round: its strings are what the ids decode to.

Only characters that Python's Unicode tables know are used. They are 14.0 or 15.0, so every table
in question knows them: utf8proc 2.8 has 15.0, the package's regular expressions 16.0, its digit
splitting 17.0. A character that came later has no class that all agree on.
"""
import json
import os
import random
import sys
import unicodedata

import gguf
import tokenizers
from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, pre_tokenizers

assert tuple(map(int, unicodedata.unidata_version.split("."))) <= (15, 0, 0)

LLAMA3 = (r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}"
          r"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+")
GPT2 = r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"


def split(pattern):
    return pre_tokenizers.Sequence([
        pre_tokenizers.Split(Regex(pattern), "isolated"),
        pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
    ])


# name of the file: (how many strings, the rule, ignore_merges)
RULES = {
    "smollm": (10_000, pre_tokenizers.Sequence([
        pre_tokenizers.Digits(individual_digits=True),
        pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=True),
    ]), False),
    "gpt-2": (2_000, split(GPT2), False),
    "llama-bpe": (2_000, split(LLAMA3), True),
    "qwen2": (2_000, split(LLAMA3.replace("{1,3}", "")), False),
}


def read_model(path):
    fields = gguf.GGUFReader(path).fields
    get = lambda key: fields["tokenizer.ggml." + key].contents()
    return get("tokens"), get("token_type"), [tuple(m.split(" ", 1)) for m in get("merges")]


def build(tokens, types, merges, rule, ignore_merges):
    vocabulary = {token: i for i, token in enumerate(tokens)}
    tokenizer = Tokenizer(models.BPE(vocabulary, merges, ignore_merges=ignore_merges))
    tokenizer.pre_tokenizer = rule
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens([
        AddedToken(token, special=True, normalized=False)
        for token, kind in zip(tokens, types) if kind == gguf.TokenType.CONTROL
    ])
    assert tokenizer.get_vocab_size() == len(tokens)
    return tokenizer


class Strings:
    """Generates strings of many kinds; the same seed gives the same strings."""

    def __init__(self, seed, specials):
        self.random = random.Random(seed)
        self.specials = specials
        self.scripts = {}  # the first word of a character's name, which is mostly its script
        for code in range(0x110000):
            c = chr(code)
            if unicodedata.category(c) not in ("Cn", "Cs", "Co", "Cc"):
                self.scripts.setdefault(unicodedata.name(c, "TANGUT").split(" ")[0], []).append(c)
        self.assigned = [c for script in self.scripts.values() for c in script]
        self.names = sorted(self.scripts)
        of = lambda wanted: [c for c in self.assigned if unicodedata.category(c) in wanted]
        self.marks, self.numbers = of(("Mn", "Mc", "Me")), of(("Nd", "Nl", "No"))
        self.punctuation = of(("Po", "Ps", "Pe", "Pd", "Sm", "Sc"))
        self.kinds = [(self.prose, 7), (self.script, 8), (self.anything, 2), (self.emoji, 3),
                      (self.stacked, 2), (self.controls, 2), (self.digits, 4),
                      (self.contractions, 4), (self.blanks, 5), (self.run, 1),
                      (self.special, 2), (self.code, 3), (self.punctuated, 2)]

    def some(self, pool, least, most):
        return "".join(self.random.choices(pool, k=self.random.randint(least, most)))

    def word(self):
        syllables = ("an be co di en for ge ha ing is ja ka lo mi ne ou pre qu re st the un ve wh "
                     "xy zo tion ment é ü ß ſ").split()
        word = self.some(syllables, 1, 3)
        return self.random.choice([word, word, word, word.capitalize(), word.upper()])

    def prose(self):
        words = [self.word() + self.random.choice(["", "", "", ",", ".", "!", "'s", "n't", "-"])
                 for _ in range(self.random.randint(1, 6))]
        return self.random.choice(["", "", " "]) + " ".join(words)

    def script(self):
        pool = self.scripts[self.random.choice(self.names)]
        start = self.random.randrange(len(pool))
        return self.some(pool[start:start + 60] + [" "], 1, 9)

    def anything(self):
        return self.some(self.assigned, 1, 7)

    def emoji(self):
        people, tones = "👩👨🧑👧👦👮🤦", ["", "🏻", "🏾"]
        family = "\u200d".join(self.random.choice(people) + self.random.choice(tones)
                               for _ in range(self.random.randint(1, 3)))
        flag = self.some([chr(c) for c in range(0x1F1E6, 0x1F200)], 2, 3)
        return self.random.choice([
            family, flag, self.some("😀🚀🎉❤️☺️✨🔥", 1, 4), "❤️\u200d🔥", "1️⃣#️⃣", "🏴\U000e0067\U000e0062\U000e007f",
        ]) + self.random.choice(["", " ", "!", "a"])

    def stacked(self):
        return "".join(self.random.choice("aeZ1 ") + self.some(self.marks, 0, 4)
                       for _ in range(self.random.randint(1, 3)))

    def controls(self):
        return self.some([chr(c) for c in [*range(0x20), *range(0x7F, 0xA0)]] + list("aé 1"), 1, 8)

    def digits(self):
        return self.random.choice(["", " ", "a", "x ", "  "]) + self.random.choice([
            self.some("0123456789", 1, 12), self.some(self.numbers, 1, 6),
            self.some("0123456789 .,-", 2, 14), self.some(list("²½Ⅷ一١७") + self.numbers[:30], 1, 5),
        ]) + self.random.choice(["", "km", "  ", "'s"])

    def contractions(self):
        tails = "s t re ve m ll d S T RE Ve vE M LL lL D ſ Sx l r v K \u212a é".split()
        return "".join(self.random.choice(["I", "we", "", "Ω", "4", " ", "\n", "'"]) +
                       self.random.choice(["'", "'", "'", "’", "''"]) + self.random.choice(tails)
                       for _ in range(self.random.randint(1, 4)))

    def blanks(self):
        blank = ["  ", " ", "\t", "\n", "\r\n", "\r", "\u00a0", "\u3000", "\u2003", "\u2028", "\x0b",
                 "\x85", "\u1680", "\u200b", "\ufeff", "\x1c", "\n\n"]
        return "".join(self.some(blank, 0, 4) + self.random.choice(["a", "the", "1", "!", "中", ""])
                       for _ in range(self.random.randint(1, 4))) + self.some(blank, 0, 3)

    def run(self):
        return self.random.choice(["a", " ", "=", "ab", "\n", "0", "é", "🙂", " a", "中", "the", "."]) \
            * self.random.choice([3, 17, 40, 64, 65, 130, 300])

    def special(self):
        token = self.random.choice(self.specials)
        return self.random.choice(["", "a", " ", "<"]) + self.random.choice([
            token, token * 2, token + "\nuser", token[:-1], token[1:], token.upper(), token[:4] + token,
        ])

    def code(self):
        return self.random.choice([
            "for i in range({}):\n    x[i] += {}\n", "if (a != {}) {{ return b->c_{}; }}", "\t\treturn {}; // {}",
            "<a href=\"{}\">{}</a>", "SELECT * FROM t{} WHERE x>={}", "$\\frac{{{}}}{{{}}}$", "0x{}_{}",
            "https://ex.org/{}?q={}", "{}__init__{}", "# {}\r\n## {}\r\n",
        ]).format(self.random.randint(0, 3000), self.word())

    def punctuated(self):
        return self.random.choice(["", " ", "a"]) + self.some(self.punctuation, 1, 5) + \
            self.random.choice(["", "\n", "\r\n\n", "b", " "])

    def next(self):
        kinds, weights = zip(*self.kinds)
        return "".join(kind() for kind in self.random.choices(
            kinds, weights, k=self.random.choice([1, 1, 1, 2])))


def escape(text):
    return "".join(f"\\x{ord(c):02x}" if c < " " or c in "\\\x7f" else c for c in text)


def in_base_64(ids):
    digits = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
    return "".join(digits[i >> 12] + digits[i >> 6 & 63] + digits[i & 63] for i in ids)


def write(name, cases):
    path = os.path.join(os.path.dirname(os.path.abspath(__file__)), "golden", name + ".txt")
    with open(path, "w", encoding="utf-8", newline="\n") as file:
        for text, ids in cases:
            file.write(f"{escape(text)}\t{in_base_64(ids)}\n")
    print(f"{name}: {len(cases)} strings, {os.path.getsize(path)} bytes")


def main():
    print("tokenizers", tokenizers.__version__, "Unicode", unicodedata.unidata_version)
    tokens, types, merges = read_model(sys.argv[1])
    specials = [t for t, kind in zip(tokens, types) if kind == gguf.TokenType.CONTROL]
    built = {}
    for seed, (name, (count, rule, ignore_merges)) in enumerate(RULES.items()):
        built[name] = build(tokens, types, merges, rule, ignore_merges)
        strings = Strings(seed, specials)
        texts = [strings.next() for _ in range(count)]
        write(name, [(text, built[name].encode(text).ids) for text in texts])

    reference = built["smollm"]
    with open(sys.argv[2], encoding="utf-8") as file:
        prompts = [(case["prompt"], case["ids"]) for case in json.load(file)["cases"]]
    for text, ids in prompts:
        assert reference.encode(text).ids == ids, text
    write("prompts", prompts)

    # Ids in no order of meaning: characters torn apart, bytes that make none.
    chance = random.Random(7)
    halves = [i for i, token in enumerate(tokens) if types[i] == 1 and "\ufffd" in reference.decode([i])]
    pools = [halves, halves, range(len(tokens)), range(17, 300)]
    drawn = [[chance.choice(chance.choice(pools)) for _ in range(chance.randint(1, 10))]
             for _ in range(1_000)]
    write("decode", [(reference.decode(ids, skip_special_tokens=True), ids) for ids in drawn])


if __name__ == "__main__":
    main()
