"""regard lab: finds a Python that has the labs, or says how to get one."""

import unittest

from command import Command, environment


class Lab(Command):
    def test_without_the_labs_it_names_the_remedy(self):
        self.assert_refusal(
            self.run_regard("lab", "variance", env=environment(REGARD_PYTHON="/bin/false")), 2,
            "REGARD_PYTHON", "pip install 'regard[labs]'")

    def test_help_and_usage(self):
        self.assertIn("--quick", self.succeed("lab", "--help"))
        self.assert_refusal(self.run_regard("lab"), 2, "--list")
        self.assert_refusal(self.run_regard("lab", "x", "--docs", "d", "--quick"), 2, "--docs")


if __name__ == "__main__":
    unittest.main()
