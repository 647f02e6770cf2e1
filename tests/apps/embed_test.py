"""regard embed and tokenize on the pulled MiniLM, which speaks for every folder with a tokenizer."""

import array
import json
import unittest
from pathlib import Path

from command import Command

GOLDEN = json.loads((Path(__file__).parents[1] / "runtime/golden/minilm.json").read_text())
TEXTS = [case["text"] for case in GOLDEN]


class Embed(Command):
    def embed(self, *arguments, **options):
        return self.json_of("embed", "-m", "minilm", *arguments, **options)

    def test_ids_and_vectors_are_the_reference_s(self):
        found = self.embed(*TEXTS)
        self.assertEqual(set(found), {"embeddings", "ids"})
        for ids, vector, case in zip(found["ids"], found["embeddings"], GOLDEN, strict=True):
            self.assertEqual(ids, case["ids"])
            self.assertLess(max(abs(a - b) for a, b in zip(vector, case["embedding"])), 2e-5)

    def test_a_file_standard_input_and_ids_give_the_same_bits(self):
        file = self.folder / "texts"
        file.write_text("\n".join(TEXTS) + "\n")
        words = self.embed(*TEXTS)
        self.assertEqual(self.embed("-f", str(file)), words)
        self.assertEqual(self.embed("-f", "-", stdin=file.read_bytes()), words)
        ids = [argument for one in words["ids"] for argument in ("--ids", ",".join(map(str, one)))]
        self.assertEqual(self.embed(*ids), words)
        # Neither order nor neighbours matter.
        self.assertEqual(self.embed(*reversed(TEXTS), "-t", "1")["embeddings"][::-1],
                         words["embeddings"])

    def test_without_json_it_compares(self):
        table = self.succeed("embed", "-m", "minilm", "A cat sits.", "A kitten sits.",
                             "Stocks fell.")
        rows = [line.split() for line in table.splitlines()[1:4]]
        self.assertEqual(rows[0][1], "1.000")
        self.assertGreater(float(rows[0][2]), float(rows[0][3]) + 0.3)

    def test_raw_vectors_are_those_of_json(self):
        lines = self.succeed("embed", "-m", "minilm", *TEXTS[:3], "--raw").splitlines()
        floats = lambda numbers: array.array("f", numbers)  # what both have written
        found = [floats(float(number) for number in line.split(" ")) for line in lines]
        self.assertEqual(found, [floats(one) for one in self.embed(*TEXTS[:3])["embeddings"]])

    def test_pooling_and_length(self):
        mean = self.embed("A cat sits.", "--no-normalise")["embeddings"][0]
        self.assertNotAlmostEqual(sum(x * x for x in mean), 1, places=2)
        self.assertNotEqual(self.embed("A cat sits.", "--pool", "cls"), self.embed("A cat sits."))
        self.refuse(2, ["embed", "-m", "minilm", "x", "--pool", "sum"], "--pool")
        self.refuse(2, ["embed", "-m", "minilm"], "no text")
        self.refuse(2, ["embed", "-m", "minilm", "word " * 300], "302 tokens",
                    "max_seq_length of 256", "--truncate")
        long = self.embed("word " * 2000, "--truncate")["ids"][0]
        self.assertEqual(len(long), 256)  # max_seq_length of sentence_bert_config.json
        self.assertEqual(long[-1], 102)

    def test_the_tokenizer_alone(self):
        found = self.json_of("tokenize", "-m", "minilm", "-p", TEXTS[0])
        self.assertEqual(found["ids"], GOLDEN[0]["ids"])

    def test_a_converted_file_keeps_words_and_bits(self):
        file = self.folder / "minilm.gguf"
        self.succeed("convert", str(Path(self.pulled())), str(file))
        folder = self.folder / "minilm"
        self.succeed("convert", str(file), str(folder))
        for model in (file, folder):
            self.assertEqual(self.json_of("embed", "-m", str(model), *TEXTS), self.embed(*TEXTS))
            self.refuse(2, ["embed", "-m", str(model), "word " * 300], "256")

    def pulled(self):
        return self.succeed("pull", "minilm").split(": ", 1)[1].split(" (")[0].strip()


if __name__ == "__main__":
    unittest.main()
