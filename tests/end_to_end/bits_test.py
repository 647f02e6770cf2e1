"""The same bits from the command line, whatever the threads, chunk, page, neighbours and target.

The two hashes below hold for every machine: whoever sees another one has found a fault.
"""

import os
import sys
import unittest
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "apps"))
from command import Command, environment, test_model  # noqa: E402

TROPHY = "The trophy did not fit in the bag because it was too big."
LONG = [(i * 7919) % 40000 + 100 for i in range(1537)]  # three chunks of 512 keys and one more

# XXH64 of the f32 logits of all positions, SmolLM2-135M-Instruct Q4_1, keys and values as f16.
TROPHY_BITS = "24c00f565d3d57be"
LONG_BITS = "7e8e4b0fc9fbe316"

PROMPTS = ["The trophy did not fit in the bag because it was too big.", "Once upon a time",
           "def main():", "1 + 1 =", "Straße, Ärger und Übermut:", "The capital of France is",
           "x", "A list of three things that a cook needs: a knife, a pot and"]


class Bits(Command):
    @classmethod
    def setUpClass(cls):
        cls.model = test_model()
        cls.ids = ",".join(map(str, LONG))

    def bits(self, *arguments, ids=None, target=None):
        return self.json_of("score", "-m", self.model, "--ids", ids or self.ids, *arguments,
                            env=environment(REGARD_TARGET=target))["bits"]

    def test_stored_hashes(self):
        self.assertEqual(self.json_of("score", "-m", self.model, "-p", TROPHY)["bits"],
                         TROPHY_BITS)
        self.assertEqual(self.bits("--chunk", "512", "--page", "64"), LONG_BITS)

    def test_threads(self):
        for threads in ("1", "2", "3"):
            self.assertEqual(self.bits("-t", threads), LONG_BITS, threads)

    def test_chunk(self):
        for chunk in ("1", "7", "64", "0"):  # 512: above
            self.assertEqual(self.bits("--chunk", chunk), LONG_BITS, chunk)

    def test_page(self):
        for page in ("16", "32"):  # 64: above
            self.assertEqual(self.bits("--page", page), LONG_BITS, page)

    def test_cache_dtypes_each_with_itself(self):
        seen = {LONG_BITS}
        for kv in ("f32", "bf16", "i8"):
            whole = self.bits("--kv", kv, "--chunk", "0")
            self.assertEqual(self.bits("--kv", kv, "--chunk", "100", "--page", "16", "-t", "1"),
                             whole, kv)
            seen.add(whole)
        self.assertEqual(len(seen), 4)

    def test_targets(self):
        targets = self.json_of("doctor", env=environment(REGARD_CACHE=str(self.folder)))["targets"]
        short = ",".join(map(str, LONG[:32]))
        wanted = self.bits(ids=short)
        for target in targets:
            if target != "scalar":
                self.assertEqual(self.bits(target=target), LONG_BITS, target)
            self.assertEqual(self.bits(ids=short, target=target), wanted, target)

    def prompts_file(self):
        path = self.folder / "prompts"
        path.write_text("\n".join(PROMPTS) + "\n")
        return str(path)

    def test_batch_of_eight(self):
        batch = self.json_of("score", "-m", self.model, "--prompts", self.prompts_file(),
                             "--chunk", "32")["results"]
        self.assertEqual(len(batch), len(PROMPTS))
        for prompt, one in zip(PROMPTS, batch):
            self.assertEqual(self.json_of("score", "-m", self.model, "-p", prompt), one, prompt)

    def test_sampled_text_in_a_batch(self):
        flags = ("-n", "24", "--temp", "0.9", "--top-k", "50", "--top-p", "0.95", "-s", "11")
        batch = self.json_of("generate", "-m", self.model, "--prompts", self.prompts_file(),
                             *flags)["results"]
        for prompt, one in zip(PROMPTS, batch):
            alone = self.json_of("generate", "-m", self.model, "-p", prompt, *flags)
            for key in ("prompt_ids", "ids", "text", "finish_reason"):
                self.assertEqual(alone[key], one[key], prompt)

    def test_logits_file_is_what_is_hashed(self):
        path = self.folder / "logits"
        self.bits("--logits", str(path), ids="504,47922,1250")
        other = self.folder / "other"
        self.bits("--logits", str(other), "--chunk", "1", "-t", "1", ids="504,47922,1250")
        self.assertEqual(path.read_bytes(), other.read_bytes())
        self.assertEqual(path.stat().st_size, os.path.getsize(other))


if __name__ == "__main__":
    unittest.main()
