"""The verbs on SmolLM2: exactly the keys that are promised, and flags that do what they say."""

import json
import math
import os
import signal
import struct
import subprocess
import sys
import time
import unittest
from pathlib import Path

from command import BINARY, Command, environment, one_of_each_mount, test_model

TROPHY = "The trophy did not fit in the bag because it was too big."
TROPHY_IDS = [504, 47922, 1250, 441, 3230, 281, 260, 8727, 975, 357, 436, 1147, 2066, 30]
VOCABULARY = 49152
GENERATION_KEYS = ["prompt_ids", "ids", "text", "finish_reason", "timings"]
TIMING_KEYS = ["load_ms", "prefill_tokens", "prefill_ms", "decode_tokens", "decode_ms"]


def wait_for_size(path, size, child):
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline and child.poll() is None:
        if path.exists() and path.stat().st_size >= size:
            return
        time.sleep(0.02)
    raise AssertionError(f"{path} did not reach {size} bytes")


class Model(Command):
    @classmethod
    def setUpClass(cls):
        cls.model = test_model()

    def ask(self, verb, *arguments, **options):
        return self.json_of(verb, "-m", self.model, *arguments, **options)


class Tokenize(Model):
    def test_keys(self):
        shown = self.ask("tokenize", "-p", TROPHY)
        self.assertEqual(list(shown), ["ids", "tokens"])
        self.assertEqual(shown["ids"], TROPHY_IDS)
        self.assertEqual("".join(shown["tokens"]), TROPHY)
        self.assertEqual(self.ask("tokenize", "--ids", "504,47922"),
                         {"ids": [504, 47922], "tokens": ["The", " trophy"]})

    def test_pieces_of_a_character(self):
        tokens = self.ask("tokenize", "-p", "\U0001F9FF")["tokens"]
        self.assertGreater(len(tokens), 1)
        self.assertEqual("".join(tokens), "<0xF0><0x9F><0xA7><0xBF>")

    def test_text_sources(self):
        text = "Zwei Zeilen,\nein Ende\n"
        file = self.folder / "text"
        file.write_text(text)
        wanted = self.ask("tokenize", "-p", text)
        self.assertEqual("".join(wanted["tokens"]), text)  # the last line end counts
        self.assertEqual(self.ask("tokenize", "-f", str(file)), wanted)
        self.assertEqual(self.ask("tokenize", "-p", "-", stdin=text.encode()), wanted)

    def test_for_people(self):
        self.assertEqual(self.succeed("tokenize", "-m", self.model, "-p", " a\n").splitlines()[-1]
                         .split(), ["198", r'"\n"'])
        self.assertEqual(self.succeed("tokenize", "-m", self.model, "--ids", "504,47922"),
                         "The trophy\n")

    def test_ids_outside_the_vocabulary(self):
        self.refuse(2, ["tokenize", "-m", self.model, "--ids", "49152"], "49152")
        self.refuse(2, ["generate", "-m", self.model, "--ids", "49152"], "49152")


class Generate(Model):
    def test_keys(self):
        made = self.ask("generate", "-p", TROPHY, "-n", "5", "--kv", "f32")
        self.assertEqual(list(made), GENERATION_KEYS)
        self.assertEqual(list(made["timings"]), TIMING_KEYS)
        self.assertEqual(made["prompt_ids"], TROPHY_IDS)
        self.assertEqual(made["ids"], [198, 198, 504, 3133, 436])
        self.assertEqual(made["text"], "\n\nThe game was")
        self.assertEqual(made["finish_reason"], "length")
        self.assertEqual(made["timings"]["prefill_tokens"], 14)
        self.assertEqual(made["timings"]["decode_tokens"], 4)

    def test_text_streams_to_standard_output(self):
        made = self.ask("generate", "-p", TROPHY, "-n", "12")
        done = self.run_regard("generate", "-m", self.model, "-p", TROPHY, "-n", "12")
        self.assertEqual((done.returncode, done.stdout.decode(), done.stderr),
                         (0, made["text"], b""))

    def test_ids_in_place_of_text(self):
        ids = ",".join(map(str, TROPHY_IDS))
        by_ids = self.ask("generate", "--ids", ids, "-n", "6")
        by_text = self.ask("generate", "-p", TROPHY, "-n", "6")
        self.assertEqual(by_ids["ids"], by_text["ids"])

    def test_stop_strings(self):
        made = self.ask("generate", "-p", TROPHY, "-n", "40", "--stop", "nowhere", "--stop",
                        "game was")
        self.assertEqual((made["text"], made["finish_reason"]), ("\n\nThe ", "stop"))
        self.refuse(2, ["generate", "-m", self.model, "-p", "x", "--stop", ""], "stop")

    def test_no_tokens(self):
        made = self.ask("generate", "-p", TROPHY, "-n", "0")
        self.assertEqual((made["ids"], made["text"], made["finish_reason"]), ([], "", "length"))

    def test_the_seed_decides(self):
        def sample(seed):
            return self.ask("generate", "-p", TROPHY, "-n", "16", "--temp", "1", "-s", seed)["ids"]
        self.assertEqual(sample("1"), sample("1"))
        self.assertNotEqual(sample("1"), sample("2"))

    def test_top_k_of_one_is_greedy(self):
        greedy = self.ask("generate", "-p", TROPHY, "-n", "8")["ids"]
        self.assertEqual(self.ask("generate", "-p", TROPHY, "-n", "8", "--temp", "2", "--top-k",
                                  "1")["ids"], greedy)

    def test_prompts(self):
        file = self.folder / "prompts"
        file.write_text("One\r\nTwo two two\n")
        made = self.ask("generate", "--prompts", str(file), "-n", "3", "--logits",
                        str(self.folder / "logits"))
        self.assertEqual(list(made), ["results"])
        self.assertEqual(len(made["results"]), 2)
        for i, one in enumerate(made["results"]):
            self.assertEqual(list(one), GENERATION_KEYS)
            positions = len(one["prompt_ids"]) + len(one["ids"]) - 1
            self.assertEqual((self.folder / f"logits.{i}").stat().st_size,
                             4 * VOCABULARY * positions)
        text = self.succeed("generate", "-m", self.model, "--prompts", str(file), "-n", "3")
        self.assertEqual(text, "".join(f"[{i}] {one['text']}\n"
                                       for i, one in enumerate(made["results"])))

    def start(self, *arguments):
        return subprocess.Popen([BINARY, "generate", "-m", self.model, "-p", TROPHY, "-n", "8000",
                                 "--ignore-eos", *arguments], stdout=subprocess.PIPE,
                                stderr=subprocess.PIPE, env=environment(), bufsize=0)

    def test_interrupted(self):
        child = self.start()
        first = child.stdout.read(8)
        child.send_signal(signal.SIGINT)
        rest, errors = child.communicate(timeout=60)
        self.assertEqual((child.returncode, errors), (130, b""))
        whole = self.ask("generate", "-p", TROPHY, "-n", "400", "--ignore-eos")["text"]
        text = (first + rest).decode()
        self.assertTrue(whole.startswith(text[:len(whole)]), text)

    def test_interrupted_object(self):
        logits = self.folder / "logits"
        child = self.start("--json", "--logits", str(logits))
        wait_for_size(logits, 4 * VOCABULARY * 20, child)
        child.send_signal(signal.SIGINT)
        out, errors = child.communicate(timeout=60)
        self.assertEqual((child.returncode, errors), (130, b""))
        made = json.loads(out)
        self.assertEqual(made["finish_reason"], "interrupted")
        self.assertGreater(len(made["ids"]), 5)
        self.assertTrue(made["text"].startswith("\n\nThe"))


class Score(Model):
    def test_keys(self):
        self.assertEqual(list(self.ask("score", "-p", TROPHY)),
                         ["token_count", "mean_nll", "perplexity", "bits"])
        made = self.ask("score", "-p", TROPHY, "--top", "10", "--kv", "f32")
        self.assertEqual(list(made), ["token_count", "mean_nll", "perplexity", "bits", "top"])
        self.assertEqual(made["token_count"], 14)
        self.assertAlmostEqual(made["mean_nll"], 4.072673, delta=1e-4)
        self.assertAlmostEqual(made["perplexity"], math.exp(made["mean_nll"]), places=6)
        self.assertRegex(made["bits"], r"\A[0-9a-f]{16}\Z")
        self.assertEqual([id for id, _ in made["top"]],
                         [198, 378, 909, 2306, 339, 657, 216, 1644, 1249, 2])

    def test_logits_are_of_all_positions(self):
        file = self.folder / "logits"
        made = self.ask("score", "-p", TROPHY, "--top", "3", "--logits", str(file))
        raw = file.read_bytes()
        self.assertEqual(len(raw), 4 * VOCABULARY * 14)
        last = struct.unpack(f"<{VOCABULARY}f", raw[-4 * VOCABULARY:])
        for id, logit in made["top"]:
            self.assertEqual(last[id], struct.unpack("<f", struct.pack("<f", logit))[0])
        self.assertEqual(made["top"][0][1], max(last))

    def test_prompts(self):
        file = self.folder / "prompts"
        file.write_text(f"{TROPHY}\nOnce upon a time\n")
        made = self.ask("score", "--prompts", str(file))
        self.assertEqual(list(made), ["results"])
        self.assertEqual(made["results"][0], self.ask("score", "-p", TROPHY))

    def test_one_token_has_no_likelihood(self):
        made = self.ask("score", "--ids", "504")
        self.assertEqual((made["token_count"], made["mean_nll"]), (1, None))

    def test_for_people(self):
        text = self.succeed("score", "-m", self.model, "-p", TROPHY, "--top", "1")
        self.assertIn("perplexity", text)
        self.assertIn(self.ask("score", "-p", TROPHY)["bits"], text)
        self.assertRegex(text.splitlines()[-1], r'198 +1\d\.\d+  "\\n"')

    def test_no_room_for_logits(self):
        self.refuse(1, ["score", "-m", self.model, "-p", TROPHY, "--logits", "/dev/full"],
                    "/dev/full", "No space left")


class Inspect(Model):
    KEYS = ["tokens", "weights", "scores", "entropy", "entropy_ratio", "contribution"]
    HEAD_KEYS = {"layer", "head", "entropy", "entropy_ratio"}

    def look(self, *arguments):
        return self.ask("inspect", "-p", TROPHY, *arguments)

    def test_row(self):
        row = self.look("--layer", "16", "--head", "3", "--query", "9")
        self.assertEqual(list(row), self.KEYS)
        self.assertEqual("".join(row["tokens"]), TROPHY)
        for key in ("weights", "scores", "contribution"):
            self.assertEqual(len(row[key]), 14)
        self.assertEqual(row["scores"][10:], [None] * 4)
        self.assertEqual(row["weights"][10:], [0] * 4)
        self.assertAlmostEqual(sum(row["weights"]), 1, delta=1e-5)
        self.assertEqual(max(range(14), key=lambda i: row["weights"][i]), 1)
        self.assertAlmostEqual(row["weights"][1], 0.63, delta=0.005)
        entropy = -sum(p * math.log(p) for p in row["weights"] if p > 0)
        self.assertAlmostEqual(row["entropy"], entropy, delta=1e-4)
        self.assertAlmostEqual(row["entropy_ratio"], entropy / math.log(10), delta=1e-4)
        self.assertEqual(row["contribution"][10:], [0] * 4)

    def test_query_by_text(self):
        at = ("--layer", "16", "--head", "3", "--query")
        self.assertEqual(self.look(*at, "it"), self.look(*at, "9"))
        self.assertEqual(self.look(*at, " it"), self.look(*at, "9"))
        command = ["inspect", "-m", self.model, "-p", "the cat and the dog", "--layer", "0",
                   "--head", "0", "--query"]
        self.refuse(2, [*command, "the"], "0, 3")
        self.refuse(2, [*command, "bird"], "'bird'")
        self.refuse(2, [*command, "99"], "99", "0 .. ")

    def test_limits(self):
        for flag, words in (("--layer", "0 .. 29"), ("--head", "0 .. 8")):
            spot = {"--layer": "0", "--head": "0", "--query": "0", flag: "30"}
            self.refuse(2, ["inspect", "-m", self.model, "-p", TROPHY,
                            *[word for pair in spot.items() for word in pair]], flag, "30", words)

    def test_heads(self):
        made = self.look("--heads")
        self.assertEqual(list(made), ["tokens", "heads"])
        self.assertEqual([(one["layer"], one["head"]) for one in made["heads"]],
                         [(layer, head) for layer in range(30) for head in range(9)])
        for one in made["heads"]:
            self.assertLessEqual(self.HEAD_KEYS, set(one))

    def test_bars(self):
        text = self.succeed("inspect", "-m", self.model, "-p", TROPHY, "--layer", "16", "--head",
                            "3", "--query", "it")
        lines = text.splitlines()
        self.assertEqual(lines[-1],
                         "Share of mixing in this layer and head; not a causal explanation.")
        self.assertNotIn("\033", text)
        rows = [line for line in lines if " 0.6" in line]
        self.assertEqual(len(rows), 1, text)
        self.assertIn("trophy", rows[0])
        self.assertGreater(rows[0].count("█"), 4)
        self.assertEqual(len(lines), 2 + 10 + 1)
        self.assertTrue(all(len(line) <= 100 for line in lines))

    def test_page(self):
        page = self.folder / "page.html"
        self.succeed("inspect", "-m", self.model, "-p", TROPHY, "--html", str(page))
        text = page.read_text()
        self.assertIn("not a causal explanation", text)
        self.assertNotRegex(text, r'(src|href)="https?:')

    def test_no_space_for_the_page(self):
        room = self.folder / "room"
        room.mkdir()
        command = [BINARY, "inspect", "-m", self.model, "-p", TROPHY, "--html",
                   str(room / "page.html")]
        done = one_of_each_mount("size=64k", room, command)
        if done is None:
            print("no right to mount: /dev/full stands for a small file system")
            done = self.run_regard(*command[1:-1], "/dev/full")
        self.assert_refusal(done, 1, "No space left on device")

    def test_no_folder_for_the_page(self):
        self.refuse(1, ["inspect", "-m", self.model, "-p", TROPHY, "--html",
                        str(self.folder / "none" / "page.html")], "none")


class DoctorAndBench(Model):
    def test_doctor(self):
        os.symlink(self.model, self.folder / "mine.gguf")
        found = self.json_of("doctor", env=environment(REGARD_CACHE=str(self.folder)))
        self.assertEqual(list(found), ["cpu", "targets", "fma_peak_gflops", "read_peak_gbs",
                                       "threads", "models"])
        self.assertIn("scalar", found["targets"])
        self.assertGreater(found["fma_peak_gflops"], 0)
        self.assertGreater(found["read_peak_gbs"], 0)
        self.assertEqual([one["name"] for one in found["models"]], ["mine"])
        for target in found["targets"]:
            self.succeed("bench", "attention", "--shape", "1,1,1,2,2,16,1", "--seconds", "0",
                         env=environment(REGARD_TARGET=target))

    def test_the_demos_figures_read_what_doctor_says(self):
        """scripts/demo looked for a key that doctor had renamed."""
        for name, what in [
                ("bench", [{"test": "prefill", "tokens_per_second": 900},
                           {"test": "decode", "tokens_per_second": 200}]),
                ("machine", {"read_peak_gbs": 25, "fma_peak_gflops": 340}),
                ("file", self.json_of("doctor", test_model()))]:
            (self.folder / name).write_text(json.dumps(what))
        script = Path(__file__).parents[2] / "scripts" / "speed.py"
        told = subprocess.run([sys.executable, script, "bench", "machine", "file"],
                              cwd=self.folder, capture_output=True, text=True, check=True).stdout
        self.assertRegex(told, r"prefill +900 tokens/s of +\d+ .*0\.2\d GFLOP a token")
        self.assertRegex(told, r"decode +200 tokens/s of +\d+ .*\d+\.\d MB a token")

    def test_doctor_on_a_file(self):
        told = self.json_of("doctor", self.model)
        self.assertEqual(told["architecture"], "llama")
        self.assertEqual((told["layers"], told["vocabulary"]), (30, VOCABULARY))
        self.assertEqual(sum(one["tensors"] for one in told["types"]), len(told["tensors"]))
        self.assertIn("q4_1", self.succeed("doctor", self.model))

    def test_bench_attention(self):
        rows = self.json_of("bench", "attention", "--shape", "1,4,2,33,47,32,1", "--shape",
                            "2,4,4,1,130,64,0", "--seconds", "0", "-t", "2", "--dtype", "bf16")
        self.assertEqual(len(rows), 2)
        for row in rows:
            self.assertEqual(list(row), ["B", "Hq", "Hk", "Sq", "Sk", "D", "causal", "dtype",
                                         "threads", "ms", "gflops", "gbs", "error",
                                         "fma_peak_gflops", "read_peak_gbs"])
            self.assertLess(row["error"], 1e-5)
            self.assertGreater(row["error"], 0)
        first = rows[0]
        self.assertEqual((first["causal"], first["dtype"], first["threads"]), (True, "bf16", 2))
        flops = 4 * 1 * 4 * 33 * 47 * 32 / 2
        self.assertAlmostEqual(first["gflops"] * first["ms"] * 1e6 / flops, 1, places=6)
        moved = 2 * 2 * 4 * 130 * 64 * 2
        self.assertAlmostEqual(rows[1]["gbs"] * rows[1]["ms"] * 1e6 / moved, 1, places=6)

    def test_bench_model(self):
        rows = self.json_of("bench", "model", "-m", self.model, "--prefill", "16", "--decode", "2",
                            "--depth", "0,8", "--repeats", "1", "-t", "2")
        self.assertEqual([(row["test"], row["tokens"], row["depth"], row["threads"])
                          for row in rows],
                         [("prefill", 16, 0, 2), ("decode", 2, 0, 2), ("decode", 2, 8, 2)])
        for row in rows:
            self.assertEqual(list(row), ["test", "tokens", "depth", "threads",
                                         "tokens_per_second"])
            self.assertGreater(row["tokens_per_second"], 0)
        self.refuse(2, ["bench", "model", "-m", self.model, "--prefill", "0", "--decode", "10",
                        "--depth", "8190", "--repeats", "1"], "8190")


if __name__ == "__main__":
    unittest.main()
