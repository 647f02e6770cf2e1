"""Folders and files of weights that mean harm, at the command line: each is refused in one line,
with little processor time and memory. No model is needed."""

import json
import os
import resource
import struct
import subprocess
import unittest

from command import BINARY, Command, environment


def safetensors(header, data=0):
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + bytes(data)


def tensor(begin, end, shape, dtype="F32"):
    return {"dtype": dtype, "shape": shape, "data_offsets": [begin, end]}


ONE = {"a": tensor(0, 8, [2])}
NESTED = b"[" * 60_000

# name: (bytes of the file, words of the refusal)
FILES = {
    "empty": (b"", "empty"),
    "short": (b"\1\0\0", "3 bytes"),
    "header longer than the file": (struct.pack("<Q", 10_000) + b"{}", "10000"),
    "header longer than any": (struct.pack("<Q", 2**62) + b"{}" * 100, "100000000"),
    "brackets": (safetensors(b'{"a":' + NESTED), "nested"),
    "no UTF-8": (safetensors(b'{"\xff":{}}'), "UTF-8"),
    "not JSON": (safetensors(b'{"a":}'), "not JSON"),
    "name twice": (safetensors(b'{"a":{},"a":{}}'), "twice"),
    "overlap": (safetensors({"a": tensor(0, 8, [2]), "b": tensor(4, 12, [2])}, 12), "overlaps"),
    "hole": (safetensors({"a": tensor(0, 8, [2]), "b": tensor(12, 20, [2])}, 20), "holes"),
    "rest": (safetensors(ONE, 12), "rest"),
    "cut short": (safetensors(ONE, 7), "cut short"),
    "shape and bytes disagree": (safetensors({"a": tensor(0, 8, [3])}, 8), "12 bytes"),
    "shape overflows": (safetensors({"a": tensor(0, 8, [2**40, 2**40])}, 8), "overflows"),
    "negative shape": (safetensors({"a": tensor(0, 8, [-2])}, 8), "-2"),
    "backwards": (safetensors({"a": tensor(8, 0, [2])}, 8), "[8, 0]"),
    "unknown type": (safetensors({"a": tensor(0, 8, [2], "Q9")}, 8), "Q9"),
    "metadata of numbers": (safetensors({"__metadata__": {"a": 1}}), "__metadata__"),
    "pickle": (b"\x80\x02}q\x00." + bytes(100), "pickle"),
}


def index(files):
    return json.dumps({"weight_map": files}).encode()


# name: (files of the folder, words of the refusal)
FOLDERS = {
    "nothing": ({}, ["model.safetensors"]),
    "pickle": ({"pytorch_model.bin": b"x"}, ["pickle"]),
    "missing shard": ({"model.safetensors.index.json": index({"a": "m-1.safetensors"})},
                      ["m-1.safetensors", "no such file"]),
    "tensor that the shard does not hold":
        ({"model.safetensors.index.json": index({"a": "m.safetensors", "b": "m.safetensors"}),
          "m.safetensors": safetensors(ONE, 8)}, ["\"b\"", "does not hold"]),
    "tensor in two shards":
        ({"model.safetensors.index.json": index({"a": "m.safetensors", "b": "n.safetensors"}),
          "m.safetensors": safetensors(ONE, 8), "n.safetensors": safetensors(ONE, 8)},
         ["\"a\"", "m.safetensors", "n.safetensors"]),
    "shard outside": ({"model.safetensors.index.json": index({"a": "../m.safetensors"})},
                      ["without a folder"]),
    "shard anywhere": ({"model.safetensors.index.json": index({"a": "/m.safetensors"})},
                       ["without a folder"]),
    "index of brackets": ({"model.safetensors.index.json": NESTED}, ["nested"]),
    "settings with NaN": ({"model.safetensors": safetensors(ONE, 8),
                           "config.json": b'{"rms_norm_eps": NaN}'}, ["config.json", "NaN"]),
    "settings of brackets": ({"model.safetensors": safetensors(ONE, 8), "config.json": NESTED},
                             ["config.json", "nested"]),
    "settings twice": ({"model.safetensors": safetensors(ONE, 8),
                        "config.json": b'{"n_layer": 1, "n_layer": 2}'}, ["twice"]),
    "settings of another kind": ({"model.safetensors": safetensors(ONE, 8),
                                  "config.json": b'{"num_hidden_layers": "two"}'},
                                 ["num_hidden_layers", "whole number"]),
    "more layers than any": ({"model.safetensors": safetensors(ONE, 8),
                              "config.json": b'{"num_hidden_layers": 1000000000}'},
                             ["num_hidden_layers", "4096"]),
}


class Checkpoints(Command):
    def refuse_with_little(self, path, *words):
        def limits():
            resource.setrlimit(resource.RLIMIT_CPU, (1, 1))
            resource.setrlimit(resource.RLIMIT_DATA, (512 << 20, 512 << 20))

        done = subprocess.run([BINARY, "doctor", str(path)], stdout=subprocess.PIPE,
                              stderr=subprocess.PIPE, env=environment(), preexec_fn=limits,
                              timeout=60)
        self.assert_refusal(done, 3, str(path), *words)

    def test_files(self):
        path = self.folder / "m.safetensors"
        for name, (content, words) in FILES.items():
            with self.subTest(name):
                path.write_bytes(content)
                # Whatever the bytes look like: the folder says that they are weights.
                os.replace(path, self.folder / "model.safetensors")
                self.refuse_with_little(self.folder, words)

    def test_folders(self):
        for name, (files, words) in FOLDERS.items():
            folder = self.folder / name.replace(" ", "_")
            folder.mkdir()
            for file, content in files.items():
                (folder / file).write_bytes(content)
            with self.subTest(name):
                self.refuse_with_little(folder, *words)

    def test_good_ones(self):
        path = self.folder / "model.safetensors"
        path.write_bytes(safetensors(ONE, 8))
        for place in (path, self.folder):
            told = self.json_of("doctor", str(place))
            self.assertEqual((told["format"], told["parameters"]), ("safetensors", 2))
            self.assertEqual(told["tensors"][0]["shape"], [2])
        (self.folder / "config.json").write_text('{"model_type": "gpt2", "n_layer": 3}')
        told = self.json_of("doctor", str(self.folder))
        self.assertEqual((told["architecture"], told["layers"]), ("gpt2", 3))
        found = self.json_of("doctor", env=environment(REGARD_CACHE=str(self.folder.parent)))
        self.assertIn(str(self.folder), [model["path"] for model in found["models"]])


if __name__ == "__main__":
    unittest.main()
