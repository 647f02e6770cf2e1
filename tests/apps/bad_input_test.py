"""Files and texts that are not what they should be: one line and the right code, never a signal."""

import os
import random
import resource
import struct
import unittest

from command import BINARY, Command, test_model

HEADER_BYTES = 3_000_000  # more than SmolLM2's header has


def text(value):
    raw = value.encode()
    return struct.pack("<Q", len(raw)) + raw


def gguf(keys, tensors=()):
    """A GGUF file: keys as (name, string), tensors as (name, type, dims); no tensor data."""
    out = b"GGUF" + struct.pack("<IQQ", 3, len(tensors), len(keys))
    for name, value in keys:
        out += text(name) + struct.pack("<I", 8) + text(value)
    for name, kind, dims in tensors:
        out += text(name) + struct.pack(f"<I{len(dims)}QIQ", len(dims), *dims, kind, 0)
    return out + bytes(-len(out) % 32) + bytes(4096)


class BadFiles(Command):
    def file(self, name, content):
        path = self.folder / name
        path.write_bytes(content)
        return str(path)

    def refuse_file(self, path, *words):
        """By every verb that opens a model."""
        for command in (["generate", "--ids", "1", "-n", "1", "-m", path],
                        ["tokenize", "-p", "x", "-m", path],
                        ["score", "--ids", "1,2", "-m", path],
                        ["bench", "model", "-m", path]):
            with self.subTest(command=command):
                self.refuse(3, command, *words)

    def test_missing(self):
        path = str(self.folder / "none.gguf")
        self.refuse_file(path, path, "no such file")
        self.refuse(3, ["doctor", path], path)

    def test_directory(self):
        self.refuse_file(str(self.folder) + "/", str(self.folder))
        self.refuse(3, ["doctor", str(self.folder)], str(self.folder))

    def test_empty(self):
        path = self.file("empty.gguf", b"")
        self.refuse_file(path, path)
        self.refuse(3, ["doctor", path], path)

    def test_safetensors_given_as_gguf(self):
        header = b'{"w":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}}'
        path = self.file("model.gguf", struct.pack("<Q", len(header)) + header + bytes(8))
        self.refuse_file(path, path, "GGUF")

    def test_unknown_architecture(self):
        path = self.file("odd.gguf", gguf([("general.architecture", "abacus")]))
        self.refuse(3, ["generate", "--ids", "1", "-m", path], path, "abacus")
        self.refuse(3, ["score", "--ids", "1", "-m", path], path, "abacus")

    def test_unknown_tensor_type(self):
        path = self.file("odd.gguf", gguf([("general.architecture", "llama")],
                                          [("token_embd.weight", 99, [32, 4])]))
        self.refuse_file(path, path, "token_embd.weight", "99")
        self.refuse(3, ["doctor", path], path, "99")

    def test_name_with_line_ends(self):
        self.refuse(3, ["tokenize", "-p", "x", "-m", str(self.folder / "two\nlines.gguf")])


class DamagedModel(Command):
    """SmolLM2 cut short and with flipped bits: refused with one line, or loaded."""

    @classmethod
    def setUpClass(cls):
        with open(test_model(), "rb") as file:
            cls.header = file.read(HEADER_BYTES)
            file.seek(0, os.SEEK_END)
            cls.size = file.tell()

    def limits(self):
        # A run that hangs ends by a signal, and so fails.
        resource.setrlimit(resource.RLIMIT_CPU, (10, 10))
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))

    def look_at(self, path, *command):
        child = os.fork()
        if child == 0:
            self.limits()
            null = os.open(os.devnull, os.O_RDWR)
            errors = os.open(self.folder / "errors", os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
            os.dup2(null, 0), os.dup2(null, 1), os.dup2(errors, 2)
            os.execv(BINARY, [BINARY, *command])
        _, status, used = os.wait4(child, 0)
        line = (self.folder / "errors").read_bytes()
        self.assertTrue(os.WIFEXITED(status), f"signal {status}: {line}")
        self.assertIn(os.WEXITSTATUS(status), (0, 3), line)
        if os.WEXITSTATUS(status) == 3:
            self.assertRegex(line.decode(), r"\Aregard: [^\n]+\n\Z")
        else:
            self.assertEqual(line, b"")
        self.assertLess(used.ru_maxrss * 1024, self.size + (64 << 20), "memory")
        return os.WEXITSTATUS(status)

    def test_cut_short(self):
        path = self.folder / "cut.gguf"
        places = random.Random(3).sample(range(0, len(self.header) // 64), 150)
        for place in [0, 1, *places]:
            path.write_bytes(self.header[:64 * place])
            with self.subTest(bytes=64 * place):
                self.assertEqual(self.look_at(path, "tokenize", "-p", "x", "-m", str(path)), 3)

    def test_flipped_bits(self):
        draw = random.Random(4)
        path = self.folder / "flipped.gguf"
        path.write_bytes(self.header)
        os.truncate(path, self.size)  # zero weights, without writing them
        refused = 0
        with open(path, "r+b") as file:
            for _ in range(150):
                # Half of them where the keys and the tensor table are dense.
                near = draw.random() < 0.5
                place = draw.randrange(2000 if near else 1_700_000)
                byte = self.header[place]
                os.pwrite(file.fileno(), bytes([byte ^ 1 << draw.randrange(8)]), place)
                with self.subTest(place=place):
                    refused += self.look_at(path, "tokenize", "-p", "x", "-m", str(path)) == 3
                    self.look_at(path, "doctor", str(path))
                os.pwrite(file.fileno(), bytes([byte]), place)
        self.assertGreater(refused, 10)  # the flips did reach what is read


class BadTexts(Command):
    @classmethod
    def setUpClass(cls):
        cls.model = test_model()

    def test_not_utf8(self):
        for command in (["generate", "-n", "1"], ["score"], ["tokenize"],
                        ["inspect", "--layer", "0", "--head", "0", "--query", "0"]):
            with self.subTest(command=command):
                self.refuse(2, [*command, "-m", self.model, "-p", b"ab\xff"], "UTF-8")
                self.refuse(2, [*command, "-m", self.model, "-p", "-"], "UTF-8", stdin=b"\xe2\x82")
        file = self.folder / "prompts"
        file.write_bytes(b"good\nbad \xff\n")
        self.refuse(2, ["score", "-m", self.model, "--prompts", str(file)], "prompt 2", "UTF-8")

    def test_no_tokens(self):
        for verb in (["generate"], ["score"]):
            self.refuse(2, [*verb, "-m", self.model, "-p", ""], "prompt")

    def test_longer_than_the_context(self):
        ids = ",".join(["5"] * 8193)
        for verb in (["generate", "-n", "1"], ["score"],
                     ["inspect", "--layer", "0", "--head", "0", "--query", "0"]):
            with self.subTest(verb=verb):
                self.refuse(2, [*verb, "-m", self.model, "--ids", ids], "8193", "8192")


if __name__ == "__main__":
    unittest.main()
