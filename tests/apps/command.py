"""Runs the built `regard` as a person does, and looks at what it says.

REGARD_BINARY names the program, REGARD_TEST_MODEL the model file of those tests that need one.
"""

import json
import os
import subprocess
import tempfile
import unittest
from pathlib import Path

BINARY = os.environ["REGARD_BINARY"]


def environment(**changes):
    """The caller's, without its REGARD_ settings; None takes a variable away."""
    kept = {key: value for key, value in os.environ.items()
            if not key.startswith("REGARD_") or key == "REGARD_TARGET"}
    kept.update({key: value for key, value in changes.items() if value is not None})
    for key, value in changes.items():
        if value is None:
            kept.pop(key, None)
    return kept


def test_model():
    path = os.environ.get("REGARD_TEST_MODEL")
    if not path:
        raise AssertionError("REGARD_TEST_MODEL must name the file of SmolLM2-135M-Instruct Q4_1")
    return path


class Command(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = Path(folder.name)

    def run_regard(self, *arguments, stdin=b"", env=None, timeout=900, **options):
        options.setdefault("stdout", subprocess.PIPE)
        return subprocess.run([BINARY, *arguments], input=stdin, stderr=subprocess.PIPE,
                              env=env or environment(), timeout=timeout, **options)

    def succeed(self, *arguments, **options):
        done = self.run_regard(*arguments, **options)
        self.assertEqual(done.returncode, 0, f"{arguments}: {done.stderr}")
        return done.stdout.decode()

    def json_of(self, *arguments, **options):
        return json.loads(self.succeed(*arguments, "--json", **options))

    def assert_refusal(self, done, code, *words):
        """One line, the right code, no result: and the line says these words."""
        line = done.stderr.decode()
        self.assertEqual(done.returncode, code, line)
        self.assertRegex(line, r"\Aregard: [^\n]+\n\Z")
        for word in words:
            self.assertIn(word, line)
        if done.stdout is not None:
            self.assertEqual(done.stdout, b"")

    def refuse(self, code, arguments, *words, **options):
        self.assert_refusal(self.run_regard(*arguments, **options), code, *words)


def one_of_each_mount(options, folder, command):
    """`command` where `folder` is a small file system of its own; None where we may not mount."""
    script = (f'folder=$1; shift; mount -t tmpfs -o {options} none "$folder" || exit 199; '
              '"$@"; status=$?; umount "$folder"; exit $status')
    # Inside a chroot the root is no mount point, and its propagation cannot be changed.
    for propagation in ("private", "unchanged"):
        done = subprocess.run(["unshare", "-m", "--propagation", propagation, "sh", "-c", script,
                               "sh", str(folder), *command],
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment(),
                              timeout=300)
        if b"filesystem propagation" not in done.stderr:
            break
    may_not = done.returncode == 199 or b"unshare failed" in done.stderr
    return None if may_not else done
