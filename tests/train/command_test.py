"""`regard train` as a person runs it: killed, interrupted, resumed, and refused."""

import json
import os
import pty
import random
import signal
import subprocess
import sys
import time
import unittest
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "apps"))
from command import BINARY, Command, environment  # noqa: E402

CONFIG = """
[model]
layers = 1
width = 16
heads = 2
[data]
task = "copy"
shortest = 2
longest = 4
length = 12
[run]
steps = {steps}
rows = 4
eval_every = 1000
eval_batches = 1
save_every = {save_every}
keep = 2
[schedule]
rate = 0.003
"""


class Train(Command):
    def config(self, steps=30, save_every=10, more=""):
        path = self.folder / "config.toml"
        path.write_text(CONFIG.format(steps=steps, save_every=save_every) + more)
        return str(path)

    def state(self, run):
        return (self.folder / run / "last" / "state.safetensors").read_bytes()

    def losses(self, run):
        lines = (self.folder / run / "log.jsonl").read_text().splitlines()
        return [json.loads(line)["loss"] for line in lines]

    def train(self, config, run, *more, **options):
        return self.run_regard("train", config, "--out", str(self.folder / run), *more, **options)

    def test_a_run_that_is_killed_anywhere_resumes_to_the_same_bits(self):
        steps = 150
        config = self.config(steps=steps, save_every=1)
        start = time.monotonic()
        self.assertEqual(self.train(config, "whole").returncode, 0)
        whole_seconds = time.monotonic() - start
        choose = random.Random(6)
        kills, more = 0, []
        while kills < 10:
            run = subprocess.Popen([BINARY, "train", config, "--out",
                                    str(self.folder / "killed"), *more],
                                   stderr=subprocess.PIPE, stdout=subprocess.DEVNULL,
                                   env=environment())
            time.sleep(choose.uniform(0.02, whole_seconds / 8))
            run.send_signal(signal.SIGKILL)
            said = run.communicate()[1].decode()
            self.assertIn(run.returncode, (-signal.SIGKILL, 0), said)
            kills += 1
            if (self.folder / "killed" / "last").exists():
                more = ["--resume"]
                # Whole: the model loads.
                self.succeed("score", "--ids", "3,4,1,3", "-m",
                             str(self.folder / "killed" / "last") + "/")
        self.assertTrue(more, "no run came as far as a checkpoint")
        done = self.train(config, "killed", *more)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertEqual(self.losses("killed"), self.losses("whole"))
        self.assertEqual(self.state("killed"), self.state("whole"))
        self.assertEqual([p.name for p in (self.folder / "killed").glob(".regard-*")], [])

    def test_an_interrupt_saves_and_the_run_goes_on(self):
        config = self.config(steps=100000, save_every=100000)
        run = subprocess.Popen([BINARY, "train", config, "--out", str(self.folder / "run"),
                                "--every", "1"], stderr=subprocess.PIPE, stdout=subprocess.PIPE,
                               env=environment())
        run.stderr.readline()
        while b"step 3 " not in run.stderr.readline():
            pass
        run.send_signal(signal.SIGINT)
        out, err = run.communicate(timeout=60)
        self.assertEqual(run.returncode, 130, err)
        self.assertIn(b"interrupted at step ", err)
        checkpoint = Path(out.decode().strip())
        self.assertTrue((checkpoint / "training.json").exists())
        step = json.loads((checkpoint / "training.json").read_text())["step"]
        done = self.train(config, "run", "--resume", "--stop-after", str(step + 2))
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertEqual(len(self.losses("run")), step + 2)

    def test_without_a_terminal_there_are_plain_lines(self):
        done = self.train(self.config(), "run")
        self.assertEqual(done.returncode, 0, done.stderr)
        lines = done.stderr.decode().splitlines()
        self.assertTrue(any(line.startswith("step 10 of 30  loss ") for line in lines), lines)
        self.assertNotIn("\r", done.stderr.decode())
        self.assertIn("held out", "".join(lines[:-1]))
        self.assertTrue((self.folder / "run" / "loss.svg").read_text().startswith("<svg"))

    def test_on_a_terminal_there_is_a_bar(self):
        master, slave = pty.openpty()
        run = subprocess.Popen([BINARY, "train", self.config(), "--out",
                                str(self.folder / "run")], stderr=slave,
                               stdout=subprocess.DEVNULL, env=environment())
        os.close(slave)
        said = b""
        try:
            while part := os.read(master, 4096):
                said += part
        except OSError:  # what Linux says when the other end is closed
            pass
        os.close(master)
        self.assertEqual(run.wait(), 0, said)
        self.assertRegex(said, rb"\r[^\n]*\[[#.]{20}\] \d+:\d\d left  step \d+ of 30")

    @unittest.skipUnless(os.geteuid() == 0, "only root may mount")
    def test_a_full_disk_leaves_the_old_checkpoint(self):
        disk = self.folder / "disk"
        disk.mkdir()
        mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=600k", "tmpfs", str(disk)],
                                 capture_output=True)
        if mounted.returncode != 0:
            self.skipTest("tmpfs cannot be mounted here")
        self.addCleanup(subprocess.run, ["umount", str(disk)])
        config = self.config()
        done = self.run_regard("train", config, "--out", str(disk / "run"), "--stop-after", "5")
        self.assertEqual(done.returncode, 0, done.stderr)
        left = os.statvfs(disk)
        (disk / "ballast").write_bytes(bytes(left.f_bavail * left.f_frsize - 3 * 4096))
        done = self.run_regard("train", config, "--out", str(disk / "run"), "--resume")
        self.assertEqual(done.returncode, 1)
        self.assertIn(b"No space left on device", done.stderr.splitlines()[-1])
        (disk / "ballast").unlink()
        self.assertEqual(os.readlink(disk / "run" / "last"), "step-00000005")
        done = self.run_regard("train", config, "--out", str(disk / "run"), "--resume")
        self.assertEqual(done.returncode, 0, done.stderr)

    def test_bad_input_is_one_line(self):
        out = ["--out", str(self.folder / "run")]
        bad = self.folder / "bad.toml"
        bad.write_text("[model]\nlayer = 3\n")
        self.assert_refusal(self.run_regard("train", str(bad), *out), 3,
                            "unknown key model.layer; the nearest is model.layers")
        self.assert_refusal(self.run_regard("train", str(self.folder / "no.toml"), *out), 3,
                            "no.toml")
        bad.write_text("[data]\ntext = \"/nowhere/a.txt\"\n")
        self.assert_refusal(self.run_regard("train", str(bad), *out), 3, "/nowhere/a.txt")
        bad.write_text("[data]\ntask = \"revers\"\n")
        self.assert_refusal(self.run_regard("train", str(bad), *out), 2, "'reverse'")
        self.assert_refusal(self.run_regard("train"), 2, "give a configuration")

    def test_gradcheck_and_keys(self):
        said = self.succeed("train", self.config(), "--gradcheck")
        self.assertIn("blk.0.attn_q.weight", said)
        for line in said.splitlines():
            self.assertLess(float(line.split()[-1]), 1e-6)
        self.assertIn("schedule", self.succeed("train", "--keys"))
        shown = self.succeed("train", self.config(), "--print-config")
        again = self.folder / "again.toml"
        again.write_text(shown)
        self.assertEqual(self.succeed("train", str(again), "--print-config"), shown)


if __name__ == "__main__":
    unittest.main()
