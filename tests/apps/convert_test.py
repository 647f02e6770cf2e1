"""regard convert: a stored tiny model to GGUF and back, and what it refuses."""

import json
import os
import resource
import shutil
import subprocess
import unittest
from pathlib import Path

from command import BINARY, Command, environment

MODEL = Path(__file__).resolve().parent.parent / "models" / "data" / "llama-1"


class Convert(Command):
    def setUp(self):
        super().setUp()
        self.out = self.folder / "out.gguf"

    def test_writes_what_doctor_reads(self):
        for dtype in ([], ["--dtype", "f16"], ["--dtype", "q8_0"]):
            told = self.json_of("convert", str(MODEL), str(self.out), *dtype)
            self.assertEqual((told["architecture"], told["bytes"]),
                             ("llama", self.out.stat().st_size))
            seen = self.json_of("doctor", str(self.out))
            self.assertEqual(len(seen["tensors"]), told["tensors"])
            for tensor in seen["tensors"]:
                if tensor["name"] in told["kept_f16"]:
                    self.assertEqual(tensor["type"], "f16")
        self.assertIn("is ready", self.succeed("convert", str(MODEL), str(self.out)))
        self.assertEqual([path.name for path in self.folder.iterdir()], ["out.gguf"])

    def test_writes_a_folder_of_a_file(self):
        back = self.folder / "back"
        self.succeed("convert", str(MODEL), str(self.out))
        done = subprocess.run([BINARY, "convert", str(self.out), str(back), "--json"],
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment(),
                              timeout=60, text=True)
        self.assertEqual(done.returncode, 0)
        self.assertEqual(done.stderr.count("\n"), 1)
        self.assertIn("has no tokenizer", done.stderr)
        told = json.loads(done.stdout)
        self.assertEqual((told["architecture"], told["tokenizer"]), ("llama", False))
        self.assertEqual(told["bytes"], (back / "model.safetensors").stat().st_size)
        ids = ["--ids", "5,17,33,2,8"]
        bits = [self.json_of("score", "-m", str(model), *ids)["bits"] for model in (MODEL, back)]
        self.assertEqual(*bits)
        self.refuse(1, ["convert", str(self.out), str(back)], "is there already")
        self.refuse(2, ["convert", str(self.out), str(self.folder / "new.gguf")], "folder")
        self.refuse(2, ["convert", str(self.out), str(self.folder / "new"), "--dtype", "q8_0"],
                    "f32, f16 and bf16")
        self.refuse(1, ["convert", str(self.out), str(self.folder / "no" / "new")],
                    "cannot be written")
        self.assertEqual(sorted(os.listdir(self.folder)), ["back", "out.gguf"])

    def test_full_disk_leaves_no_folder(self):
        self.succeed("convert", str(MODEL), str(self.out))
        done = subprocess.run(
            [BINARY, "convert", str(self.out), str(self.folder / "back")], stdout=subprocess.PIPE,
            stderr=subprocess.PIPE, env=environment(), timeout=60,
            preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (8192, 8192)))
        self.assert_refusal(done, 1, "back", "File too large")
        self.assertEqual(os.listdir(self.folder), ["out.gguf"])

    def test_usage(self):
        self.refuse(2, ["convert"], "folder")
        self.refuse(2, ["convert", str(MODEL), str(self.folder / "out.bin")], ".gguf")
        self.refuse(2, ["convert", str(MODEL), str(self.out), "--dtype", "q5_0"], "--dtype")

    def test_no_model(self):
        self.refuse(3, ["convert", str(self.folder / "gone"), str(self.out)], "gone")
        (self.folder / "config.json").write_text('{"model_type": "nonesuch"}')
        shutil.copy(MODEL / "model.safetensors", self.folder)
        self.refuse(3, ["convert", str(self.folder), str(self.out)], "nonesuch")
        (self.folder / "config.json").write_bytes(b"[" * 60_000)
        self.refuse(3, ["convert", str(self.folder), str(self.out)], "nested")
        self.assertFalse(self.out.exists())

    def test_no_place(self):
        self.refuse(1, ["convert", str(MODEL), str(self.folder / "no" / "out.gguf")],
                    "cannot be written")

    def test_full_disk_leaves_the_old_file(self):
        self.out.write_text("old")
        done = subprocess.run(
            [BINARY, "convert", str(MODEL), str(self.out)], stdout=subprocess.PIPE,
            stderr=subprocess.PIPE, env=environment(), timeout=60,
            preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (8192, 8192)))
        self.assert_refusal(done, 1, str(self.out), "File too large")
        self.assertEqual(self.out.read_text(), "old")
        self.assertEqual(os.listdir(self.folder), ["out.gguf"])


if __name__ == "__main__":
    unittest.main()
