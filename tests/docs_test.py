"""The documents keep their word: links lead somewhere, and tests that docs/spec.md names exist.

    python3 tests/docs_test.py [-v]     the checker on made-up documents, then on this tree
"""

import pathlib
import re
import subprocess
import tempfile
import unittest

ROOT = pathlib.Path(__file__).resolve().parent.parent

LINK = re.compile(r"\]\(([^)\s]+)\)")
CODE = re.compile(r"^```.*?^```", re.MULTILINE | re.DOTALL)
NAMED_TEST = re.compile(r"`((?:[a-z_]+/)+[a-z_]+)\.([A-Z]\w*\.\w+)`")


def documents(root):
    try:
        names = subprocess.run(["git", "ls-files", "--cached", "--others", "--exclude-standard",
                                "*.md"], cwd=root, check=True, capture_output=True, text=True)
        found = [root / name for name in names.stdout.split()]
    except (subprocess.CalledProcessError, FileNotFoundError):
        found = [p for p in root.rglob("*.md") if not {"build", "node_modules"} & set(p.parts)]
    return sorted(p for p in found if p.is_file())


def links(document):
    """The files that a document links to, as written."""
    text = CODE.sub("", document.read_text())
    return [link.split("#")[0] for link in LINK.findall(text)
            if not re.match(r"[a-z]+:", link) and not link.startswith("#")]


def broken_links(root):
    return [f"{document.relative_to(root)}: {link} leads nowhere"
            for document in documents(root) for link in links(document)
            if not (document.parent / link).exists()]


def missing_tests(root):
    """Tests are named `room/file.Suite.Name`, as ctest names them."""
    problems = []
    spec = root / "docs/spec.md"
    for path, name in NAMED_TEST.findall(spec.read_text()):
        file = root / "tests" / f"{path}_test.cc"
        suite, case = name.split(".")
        text = file.read_text() if file.is_file() else ""
        if not re.search(rf"TEST(_F|_P)?\(\s*{suite},\s*{case}\s*\)|"
                         rf"RC_GTEST_PROP\(\s*{suite},\s*{case}\s*,", text):
            problems.append(f"docs/spec.md: {path}.{name} is no test")
    return problems


class Checker(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.root = pathlib.Path(folder.name)
        (self.root / "docs").mkdir()
        (self.root / "tests/base").mkdir(parents=True)
        (self.root / "tests/base/view_test.cc").write_text("TEST(View, WalksAnyStride) {\n}\n")

    def test_a_link_that_leads_nowhere(self):
        (self.root / "docs/a.md").write_text(
            "[b](b.md#part) [out](https://example.org) [here](#here)\n```\n[x](gone.md)\n```\n")
        self.assertEqual(broken_links(self.root), ["docs/a.md: b.md leads nowhere"])
        (self.root / "docs/b.md").write_text("")
        self.assertEqual(broken_links(self.root), [])

    def test_a_test_that_does_not_exist(self):
        spec = self.root / "docs/spec.md"
        spec.write_text("| S0.1 | `base/view.View.WalksAnyStride` |\n")
        self.assertEqual(missing_tests(self.root), [])
        spec.write_text("| S0.1 | `base/view.View.Walks`, `nn/block.Block.Adds` |\n")
        self.assertEqual(len(missing_tests(self.root)), 2)


class Tree(unittest.TestCase):
    def test_links(self):
        self.assertEqual(broken_links(ROOT), [])

    def test_spec_names_tests(self):
        self.assertEqual(missing_tests(ROOT), [])
        self.assertTrue(NAMED_TEST.search((ROOT / "docs/spec.md").read_text()))

    def test_the_attention_kernel_is_three_clicks_away(self):
        self.assertIn("docs/DESIGN.md", links(ROOT / "README.md"))
        self.assertIn("../src/tiles/fold.cc", links(ROOT / "docs/DESIGN.md"))


if __name__ == "__main__":
    unittest.main()
