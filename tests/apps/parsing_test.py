"""Command lines: help, versions, bad names and values, and where an option's value comes from."""

import subprocess
import unittest

from command import BINARY, Command, environment

VERBS = ["generate", "score", "tokenize", "inspect", "bench attention", "bench model", "doctor",
         "convert", "lab", "pull"]


class Parsing(Command):
    def test_bare_prints_help(self):
        text = self.succeed()
        for verb in VERBS:
            self.assertIn(f"  {verb} ", text)
        self.assertEqual(self.succeed("--help"), text)
        self.assertEqual(self.succeed("-h"), text)
        for verb in ("bench attention", "bench model"):
            self.assertIn(verb, self.succeed("bench"))

    def test_help_and_version_everywhere(self):
        version = self.succeed("--version")
        self.assertRegex(version, r"\Aregard \d+\.\d+\.\d+\n\Z")
        for verb in VERBS:
            with self.subTest(verb=verb):
                text = self.succeed(*verb.split(), "--help")
                self.assertIn(f"regard {verb}", text)
                self.assertIn("Example: regard " + verb, text)
                self.assertNotIn("(Env:", text)
                self.assertEqual(self.succeed(*verb.split(), "--version"), version)

    def test_unknown_names_get_the_nearest(self):
        self.refuse(2, ["genrate"], "'genrate'", "'generate'")
        self.refuse(2, ["bench", "atention"], "'bench attention'")
        self.refuse(2, ["zzzzzzzzzz"], "regard --help")
        self.refuse(2, ["talk"], "'talk'")
        self.refuse(2, ["--verbose"], "--verbose", "verb comes first")
        self.refuse(2, ["generate", "--tokns", "5"], "--tokns", "--tokens")
        self.refuse(2, ["score", "--topp=5"], "--topp", "--top")
        self.refuse(2, ["inspect", "--layers", "3"], "--layers", "--layer")
        self.refuse(2, ["doctor", "--frobnicate"], "--frobnicate", "regard doctor --help")
        self.refuse(2, ["generate", "hello"], "'hello'", "regard generate --help")
        self.refuse(2, ["generate", "two\nlines"], r"two\x0alines")

    def test_bad_values(self):
        for arguments, *words in [
            (["generate", "-p", "x", "-n", "-1"], "--tokens", "'-1'"),
            (["generate", "-p", "x", "-n", "1.5"], "--tokens", "'1.5'"),
            (["generate", "-p", "x", "-n", "99999999999999999999"], "--tokens"),
            (["generate", "-p", "x", "-n", ""], "--tokens", "''"),
            (["generate", "-p", "x", "-n"], "--tokens", "value"),
            (["generate", "-p", "x", "--temp", "nan"], "--temp", "'nan'"),
            (["generate", "-p", "x", "--temp", "inf"], "--temp"),
            (["generate", "-p", "x", "--temp", "-0.5"], "--temp"),
            (["generate", "-p", "x", "--temp", "warm"], "--temp", "'warm'"),
            (["generate", "-p", "x", "--top-k", "-2"], "--top-k"),
            (["generate", "-p", "x", "--top-p", "1.01"], "--top-p", "1.01"),
            (["generate", "-p", "x", "--min-p", "-1"], "--min-p"),
            (["generate", "-p", "x", "-s", "-1"], "--seed"),
            (["generate", "-p", "x", "-t", "1025"], "--threads", "1024"),
            (["generate", "-p", "x", "--kv", "f64"], "--kv", "f32, f16, bf16"),
            (["generate", "-p", "x", "--page", "48"], "--page", "16, 32, 64"),
            (["generate", "-p", "x", "--chunk", "-1"], "--chunk"),
            (["generate", "--ids", "1,,2"], "--ids"),
            (["generate", "--ids", "1,-2"], "--ids", "'-2'"),
            (["generate", "--ids", "1,2,"], "--ids"),
            (["generate", "--ids", "3000000000"], "--ids"),
            (["score", "-p", "x", "--top", "many"], "--top", "'many'"),
            (["inspect", "-p", "x", "--layer", "-1", "--head", "0", "--query", "0"], "--layer"),
            (["inspect", "-p", "x", "--layer", "1"], "--head", "--query"),
            (["bench", "attention", "--shape", "1,2,3"], "--shape", "7"),
            (["bench", "attention", "--shape", "1,3,2,4,4,64,0"], "--shape", "divide"),
            (["bench", "attention", "--shape", "1,2,2,4,4,2048,0"], "--shape", "1024"),
            (["bench", "attention", "--shape", "1,2,2,8,4,64,1"], "--shape", "causal"),
            (["bench", "attention", "--shape", "1,2,2,0,4,64,1"], "--shape", "0"),
            (["bench", "attention", "--dtype", "f64"], "--dtype", "bf16"),
            (["bench", "attention", "--seconds", "nan"], "--seconds"),
            (["bench", "model", "--depth", "0,x"], "--depth", "'x'"),
            (["bench", "model", "--repeats", "0"], "--repeats"),
            (["pull"], "--list"),
            (["pull", "gpt-9"], "gpt-9", "smollm2"),
        ]:
            with self.subTest(arguments=arguments):
                self.refuse(2, arguments, *words)

    def test_exactly_one_prompt(self):
        self.refuse(2, ["generate"], "no prompt")
        self.refuse(2, ["generate", "-p", "a", "--ids", "1"], "--prompt", "--ids")
        self.refuse(2, ["score", "-f", "a", "--prompts", "b"], "--file", "--prompts")

    def test_prompt_files(self):
        self.refuse(3, ["score", "-f", str(self.folder / "none.txt")], "none.txt", "No such file")
        self.refuse(3, ["score", "-f", str(self.folder)], "directory")
        empty = self.folder / "empty.txt"
        empty.touch()
        self.refuse(2, ["score", "--prompts", str(empty)], "no prompt")
        gap = self.folder / "gap.txt"
        gap.write_text("one\n\nthree\n")
        self.refuse(2, ["score", "--prompts", str(gap)], "line 2")

    def test_environment_twins(self):
        self.refuse(2, ["generate", "-p", "x"], "--tokens", "REGARD_TOKENS", "'many'",
                    env=environment(REGARD_TOKENS="many"))
        # The option wins, over a twin that is wrong too.
        first, second = str(self.folder / "first.gguf"), str(self.folder / "second.gguf")
        self.refuse(3, ["tokenize", "-p", "x"], "first.gguf",
                    env=environment(REGARD_MODEL=first))
        self.refuse(3, ["tokenize", "-p", "x", "-m", second], "second.gguf",
                    env=environment(REGARD_MODEL=first))
        self.refuse(3, ["tokenize", "-m", second, "-p", "x"], "second.gguf",
                    env=environment(REGARD_IDS="1,2"))
        # Another verb's twin does not matter.
        self.refuse(3, ["tokenize", "-p", "x", "-m", first], "first.gguf",
                    env=environment(REGARD_TOKENS="many", REGARD_TEMP="nan"))

    def test_the_later_option_counts(self):
        first, second = str(self.folder / "first.gguf"), str(self.folder / "second.gguf")
        self.refuse(3, ["tokenize", "-p", "x", "-m", first, "-m", second], "second.gguf")

    def test_no_model_names_the_remedy(self):
        for verb in (["generate", "-p", "x"], ["score", "-p", "x"], ["tokenize", "-p", "x"],
                     ["bench", "model"],
                     ["inspect", "-p", "x", "--layer", "0", "--head", "0", "--query", "0"]):
            with self.subTest(verb=verb):
                self.refuse(3, verb, "regard pull smollm2", str(self.folder),
                            env=environment(REGARD_CACHE=str(self.folder)))

    def test_unknown_target(self):
        self.refuse(2, ["bench", "attention", "--shape", "1,1,1,1,16,16,0"], "REGARD_TARGET",
                    env=environment(REGARD_TARGET="abacus"))

    def test_a_full_or_closed_output(self):
        with open("/dev/full", "wb") as full:
            done = self.run_regard("--help", stdout=full)
        self.assert_refusal(done, 1, "standard output", "No space left")
        child = subprocess.Popen([BINARY, "--help"], stdout=subprocess.PIPE,
                                 stderr=subprocess.PIPE, env=environment(),
                                 preexec_fn=lambda: __import__("time").sleep(0.3))
        child.stdout.close()
        line = child.stderr.read().decode()
        child.stderr.close()
        self.assertEqual(child.wait(), 1, line)
        self.assertRegex(line, r"\Aregard: .*Broken pipe\n\Z")


if __name__ == "__main__":
    unittest.main()
