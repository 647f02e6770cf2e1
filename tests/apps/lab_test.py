"""regard lab: which Python it finds, and what it says when there is none."""

import json
import os
import stat
import unittest
from pathlib import Path

from command import BINARY, Command, environment

# Stands for a Python with the labs: answers the probe, and tells what it was run with.
FAKE = "#!/bin/sh\nif [ \"$2\" = -c ]; then exit ${PROBE:-0}; fi\nprintf '%s\\n' \"$@\"\nexit 1\n"
NAMED = os.environ.get("REGARD_PYTHON")
VENV = Path(BINARY).resolve().parents[2] / ".venv/bin/python"


class Lab(Command):
    def python(self, path):
        file = self.folder / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(FAKE)
        file.chmod(file.stat().st_mode | stat.S_IXUSR)
        return str(file)

    def test_becomes_the_python_that_is_named(self):
        fake = self.python("bin/python")
        done = self.run_regard("lab", "variance", "--quick", "--out", "some folder", "--json",
                               "--seed", "5", env=environment(REGARD_PYTHON=fake))
        self.assertEqual(done.returncode, 1, done.stderr)  # its exit code is ours
        self.assertEqual(done.stdout.decode().split("\n")[:-1],
                         ["-P", "-m", "regard.labs", "--quick", "--json", "--out=some folder",
                          "--seed=5", "--", "variance"])

    def test_a_named_python_without_labs(self):
        fake = self.python("bin/python")
        self.refuse(2, ["lab", "--list"], "REGARD_PYTHON", fake, "pip install 'regard[labs]'",
                    env=environment(REGARD_PYTHON=fake, PROBE="1"))
        self.refuse(2, ["lab", "--list"], "REGARD_PYTHON", "no-such-python",
                    env=environment(REGARD_PYTHON="no-such-python"))

    def test_bad_lines(self):
        self.refuse(2, ["lab"], "--list")
        self.refuse(2, ["lab", "variance", "--sed", "1"], "--sed", "--seed")
        self.refuse(2, ["lab", "variance", "--seed", "-1"], "--seed", "'-1'")
        self.refuse(2, ["lab", "all", "--docs", "d", "--quick"], "--docs")

    @unittest.skipUnless(NAMED or VENV.exists(), "REGARD_PYTHON names no Python, and no .venv lies "
                         "beside the build: scripts/setup --python makes it")
    def test_a_lab(self):
        env = environment(REGARD_PYTHON=NAMED)
        self.assertIn("variance\n", self.succeed("lab", "--list", env=env))
        told = self.json_of("lab", "lookup", "--quick", "--out", str(self.folder / "o"), env=env)
        self.assertTrue(told["pass"])
        self.assertTrue((self.folder / "o/lookup.svg").is_file())
        self.assertEqual(json.loads((self.folder / "o/numbers.json").read_text())["name"], "lookup")
        self.refuse(2, ["lab", "lokup"], "'lookup'", env=env)


if __name__ == "__main__":
    unittest.main()
