"""Dependencies point one way: reads the #includes of the tree and names every arrow that does not.

    python3 tests/layering_test.py [-v]     the checker on made-up trees, then on this one

The rooms and what may stand to the left of each are docs/DESIGN.md's; what a room links is read
from src/CMakeLists.txt.
"""

import pathlib
import re
import tempfile
import unittest

ROOT = pathlib.Path(__file__).resolve().parent.parent

# Each room and the rooms directly to its left. A room may use whatever is further left, too.
LEFT = {
    "base": [],
    "simd": ["base"],
    "kernels": ["simd"],
    "matmul": ["simd"],
    "interpreter": ["simd"],
    "tiles": ["interpreter"],
    "cache": ["tiles"],
    "expr": ["simd"],
    "program": ["expr", "tiles"],
    "reference": ["expr"],
    "plan": ["program"],
    "gradient": ["plan"],
    "attention": ["plan", "gradient", "reference", "cache"],
    "linear": ["attention"],
    "tensor": ["base"],
    "ops": ["tensor", "attention", "kernels", "matmul"],
    "recurrent": ["ops"],
    "learning": ["ops"],
    "nn": ["learning"],
    "seq2seq": ["nn", "recurrent"],
    "json": ["base"],
    "formats": ["json"],
    "writers": ["formats"],
    "unicode": ["base"],
    "normalise": ["unicode"],
    "pieces": ["unicode"],
    "subwords": ["pieces"],
    "split": ["normalise"],
    "parts": ["split", "subwords", "json"],
    "text": ["parts"],
    "values": ["unicode"],
    "chat": ["values"],
    "text_files": ["text", "chat", "formats"],
    "models": ["nn", "formats"],
    "families": ["models"],
    "convert": ["families", "writers"],
    "trainable": ["convert"],
    "runtime": ["families", "text_files"],
    "inspect": ["runtime"],
    "server": ["runtime"],
    "tasks": ["base"],
    "data": ["text_files", "tasks"],
    "train": ["trainable", "data"],
}
MAX_ROOM_FILES = 14  # past about 12 files or 3,000 lines a room has a second room inside it;
                     # a header and its source count as one file
MAX_ROOM_LINES = 3500
MAX_FILE_LINES = 500

INCLUDE = re.compile(r'^\s*#\s*include\s*([<"])([^>"]+)[>"]', re.MULTILINE)
ROOM = re.compile(r"^\s*regard_room\(([^)]*)\)", re.MULTILINE)
COMMENT_OR_TEXT = re.compile(r'//[^\n]*|/\*.*?\*/|"(?:\\.|[^"\\\n])*"', re.DOTALL)
# The library is silent and never ends the program: that is for the program to decide.
LOUD = re.compile(
    r"std::(?:cout|cerr|clog)\b|fmt::print\b"
    r"|(?<![\w:.>])(?:std::|::)?(?:printf|fprintf|puts|fputs|perror|abort|exit|_exit|terminate)\s*\("
)


def closure(graph, name):
    """name and everything that can be reached from it."""
    found = {name}
    for left in graph.get(name, []):
        found |= closure(graph, left)
    return found


def sources(folder):
    return sorted(p for p in folder.rglob("*") if p.suffix in (".h", ".cc") and p.is_file())


def read_links(root):
    """{room: rooms it links} from src/CMakeLists.txt."""
    links = {}
    text = re.sub(r"#[^\n]*", "", (root / "src/CMakeLists.txt").read_text())
    for call in ROOM.findall(text):
        name, *words = call.split()
        keyword, links[name] = "", []
        for word in words:
            if word in ("LINKS", "USES"):
                keyword = word
            elif keyword == "LINKS":
                links[name].append(word)
    return links


def check(root):
    """Every broken rule of the tree below root, a line each."""
    problems = []
    src = root / "src"
    links = read_links(root)
    rooms = {p.name for p in src.iterdir() if p.is_dir()}

    for room in sorted(rooms):
        if room not in LEFT:
            problems.append(f"src/{room}: is not a room of the design")
        elif room not in links:
            problems.append(f"src/{room}: has no regard_room() in src/CMakeLists.txt")
    for room, lefts in links.items():
        for left in lefts:
            if left == room or left not in closure(LEFT, room):
                problems.append(f"src/CMakeLists.txt: {room} links {left}, which is not to its left")

    def check_includes(file, room):
        allowed = closure(links, room)
        for _, path in INCLUDE.findall(file.read_text()):
            first = path.split("/")[0]
            if first == "regard":
                if not (root / "include" / path).is_file():
                    problems.append(f"{file.relative_to(root)}: <{path}> is not in include/")
            elif first in LEFT and "/" in path and first not in allowed:
                problems.append(f"{file.relative_to(root)}: includes {path}, "
                                f"but {room} does not link {first}")

    for room in sorted(rooms & set(LEFT)):
        files = sources(src / room)
        lines = {file: file.read_text().count("\n") for file in files}
        for file in files:
            check_includes(file, room)
            loud = LOUD.search(COMMENT_OR_TEXT.sub('""', file.read_text()))
            if loud:
                problems.append(f"{file.relative_to(root)}: the library neither prints nor ends "
                                f"the program ({loud.group()})")
            if lines[file] > MAX_FILE_LINES:
                problems.append(f"{file.relative_to(root)}: {lines[file]} lines, "
                                f"more than {MAX_FILE_LINES}")
        stems = {file.with_suffix("") for file in files}
        if len(stems) > MAX_ROOM_FILES:
            problems.append(f"src/{room}: {len(stems)} files, more than {MAX_ROOM_FILES}")
        if sum(lines.values()) > MAX_ROOM_LINES:
            problems.append(f"src/{room}: {sum(lines.values())} lines, more than {MAX_ROOM_LINES}")

    # The contract rests on itself and the standard library: nothing of src, nothing to install.
    for file in sources(root / "include"):
        for _, path in INCLUDE.findall(file.read_text()):
            if not (path.startswith("regard/") or re.fullmatch(r"[a-z_]+", path)):
                problems.append(f"{file.relative_to(root)}: a public header includes {path}")

    # A test of a room needs nothing to the right of it: a kernel test needs no model.
    for room in sorted(LEFT):
        for file in sources(root / "tests" / room):
            for _, path in INCLUDE.findall(file.read_text()):
                first = path.split("/")[0]
                if "/" in path and first != room and room in closure(LEFT, first):
                    problems.append(f"{file.relative_to(root)}: a test of {room} includes {path}")
    return problems


class Checker(unittest.TestCase):
    """The checker itself, on trees made to break one rule each."""

    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.root = pathlib.Path(folder.name)
        self.write("src/CMakeLists.txt", "regard_room(base USES fmt)\n"
                   "regard_room(kernels LINKS base\n            USES fmt hwy)\n"
                   "regard_room(formats LINKS base)\n# regard_room(nn LINKS kernels)\n")
        self.write("include/regard/view.h", "#include <array>\n#include \"regard/error.h\"\n")
        self.write("include/regard/error.h", "#include <string>\n")
        self.write("src/base/buffer.h", "#include \"regard/view.h\"\n")
        self.write("src/kernels/norm.h", "#include \"base/buffer.h\"\n#include \"hwy/highway.h\"\n")
        self.write("src/formats/gguf.cc", "#include \"base/buffer.h\"\n")
        self.write("tests/kernels/norm_test.cc", "#include \"kernels/norm.h\"\n")

    def write(self, path, text):
        file = self.root / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)

    def assert_only(self, *fragments):
        problems = check(self.root)
        self.assertEqual(len(problems), len(fragments), problems)
        for problem, fragment in zip(problems, fragments):
            self.assertIn(fragment, problem)

    def test_a_good_tree_passes(self):
        self.assertEqual(check(self.root), [])

    def test_an_arrow_to_the_right(self):
        self.write("src/base/cpu.cc", "#include \"kernels/norm.h\"\n")
        self.assert_only("src/base/cpu.cc: includes kernels/norm.h, but base does not link kernels")

    def test_a_room_to_the_left_that_is_not_linked(self):
        self.write("src/kernels/load.cc", "  #  include <formats/gguf.h>\n")
        self.assert_only("kernels does not link formats")

    def test_a_link_to_the_right(self):
        self.write("src/CMakeLists.txt", "regard_room(base LINKS kernels)\n"
                   "regard_room(kernels)\nregard_room(formats LINKS base)\n")
        problems = check(self.root)
        self.assertIn("src/CMakeLists.txt: base links kernels, which is not to its left", problems)

    def test_a_room_without_a_place(self):
        self.write("src/util/strings.h", "")
        self.assert_only("src/util: is not a room of the design")

    def test_a_room_that_is_not_built(self):
        self.write("src/nn/linear.h", "")
        self.assert_only("src/nn: has no regard_room()")

    def test_a_public_header_that_reaches_into_src(self):
        self.write("include/regard/view.h", "#include \"base/buffer.h\"\n")
        self.assert_only("include/regard/view.h: a public header includes base/buffer.h")

    def test_a_public_header_that_needs_another_library(self):
        self.write("include/regard/view.h", "#include <fmt/format.h>\n")
        self.assert_only("a public header includes fmt/format.h")

    def test_a_public_header_that_does_not_exist(self):
        self.write("src/base/cpu.cc", "#include \"regard/cpu.h\"\n")
        self.assert_only("<regard/cpu.h> is not in include/")

    def test_a_test_that_needs_more_than_its_room(self):
        self.write("tests/formats/gguf_test.cc", "#include \"kernels/norm.h\"\n")
        self.assertEqual(check(self.root), [])
        self.write("tests/kernels/norm_test.cc", "#include \"nn/block.h\"\n")
        self.assert_only("tests/kernels/norm_test.cc: a test of kernels includes nn/block.h")

    def test_sizes(self):
        self.write("src/base/long.cc", "\n" * (MAX_FILE_LINES + 1))
        self.assert_only(f"src/base/long.cc: {MAX_FILE_LINES + 1} lines")
        self.write("src/base/long.cc", "\n" * MAX_FILE_LINES)
        for i in range(MAX_ROOM_FILES - 2):
            self.write(f"src/base/part{i}.cc", "\n" * 200)
        self.assertEqual(check(self.root), [])
        self.write("src/base/more.cc", "\n" * MAX_FILE_LINES)
        self.assert_only(f"src/base: {MAX_ROOM_FILES + 1} files")
        self.write("src/base/more.h", "")
        self.assert_only(f"src/base: {MAX_ROOM_FILES + 1} files")
        self.write("src/base/part0.cc", "\n" * MAX_FILE_LINES)
        self.assert_only("files", f"lines, more than {MAX_ROOM_LINES}")

    def test_a_loud_library(self):
        self.write("src/base/cpu.cc", "// never abort() here\nconst char* help = \"exit(1)\";\n"
                   "int n = std::snprintf(b, 9, \"x\"); stream.exit();\n")
        self.assertEqual(check(self.root), [])
        for line in ("std::abort();", "exit(3);", "std::cerr << 1;", "fprintf(stderr, \"x\");",
                     "::exit(1);"):
            self.write("src/base/cpu.cc", line + "\n")
            self.assert_only("neither prints nor ends")


class Tree(unittest.TestCase):
    def test_this_one(self):
        problems = check(ROOT)
        self.assertEqual(problems, [], "\n" + "\n".join(problems))


if __name__ == "__main__":
    unittest.main()
