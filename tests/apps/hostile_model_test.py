"""Folders of models that mean harm, to the verbs that run them: each ends in one clear line, exit
code 3, within a second of processor time. No model is needed: a tiny checkpoint is damaged."""

import json
import resource
import shutil
import struct
import subprocess
import unittest
from pathlib import Path

from command import BINARY, Command, environment

DATA = Path(__file__).parents[1] / "models" / "data"
SECONDS = 1.0


def config(**changes):
    def damage(folder):
        path = folder / "config.json"
        settings = json.loads(path.read_text())
        settings.update(changes)
        path.write_text(json.dumps(settings))
    return damage


def text(name, content):
    def damage(folder):
        (folder / name).write_bytes(content if isinstance(content, bytes) else content.encode())
    return damage


def weights(change):
    """change(header, data) of model.safetensors, in place or returned anew."""
    def damage(folder):
        path = folder / "model.safetensors"
        content = path.read_bytes()
        size = struct.unpack("<Q", content[:8])[0]
        header = json.loads(content[8:8 + size])
        data = change(header, content[8 + size:])
        head = json.dumps(header).encode()
        path.write_bytes(struct.pack("<Q", len(head)) + head + data)
    return damage


def without(name):
    def change(header, data):
        begin, end = header.pop(name)["data_offsets"]
        for entry in header.values():
            if "data_offsets" in entry and entry["data_offsets"][0] >= end:
                entry["data_offsets"] = [at - (end - begin) for at in entry["data_offsets"]]
        return data[:begin] + data[end:]
    return weights(change)


def reshaped(name):
    def change(header, data):
        shape = header[name]["shape"]
        header[name]["shape"] = shape[::-1] if len(shape) == 2 else [1, *shape]
        return data
    return weights(change)


def infinite(header, data):
    begin = header["model.norm.weight"]["data_offsets"][0]
    return data[:begin] + b"\x00\x7c" + data[begin + 2:]


def overlapping(header, data):
    first, second = [e for e in header.values() if "data_offsets" in e][:2]
    second["data_offsets"] = list(first["data_offsets"])
    return data


def sharded(folder):
    (folder / "model.safetensors").unlink()
    (folder / "model.safetensors.index.json").write_text(json.dumps(
        {"weight_map": {"model.norm.weight": "model-00001-of-00002.safetensors"}}))


def cut(folder):
    path = folder / "model.safetensors"
    path.write_bytes(path.read_bytes()[:-100])


def remove(name):
    return lambda folder: (folder / name).unlink()


# name: (damage, words of the refusal)
CASES = {
    "no settings": (remove("config.json"), "config.json"),
    "no weights": (remove("model.safetensors"), "safetensors"),
    "weights cut short": (cut, "cut short"),
    "missing tensor": (without("model.layers.1.mlp.up_proj.weight"), "up_proj"),
    "missing norm": (without("model.norm.weight"), "norm"),
    "turned matrix": (reshaped("model.layers.0.mlp.down_proj.weight"), "down_proj"),
    "norm of two axes": (reshaped("model.norm.weight"), "model.norm.weight"),
    "infinite norm": (weights(infinite), "finite"),
    "overlapping tensors": (weights(overlapping), "data_offsets"),
    "missing shard": (sharded, "model-00001-of-00002.safetensors"),
    "NaN": (text("config.json", '{"model_type": "llama", "rms_norm_eps": NaN}'), "config.json"),
    "not JSON": (text("config.json", "{"), "config.json"),
    "60,000 brackets": (text("config.json", '{"a":' + "[" * 60_000), "nested"),
    "key twice": (text("config.json", '{"model_type":"llama","model_type":"llama"}'), "twice"),
    "not UTF-8": (text("config.json", b'{"model_type":"\xff"}'), "UTF-8"),
    "unknown family": (config(model_type="mamba"), "mamba"),
    "unknown activation": (config(hidden_act="snake"), "snake"),
    "unknown rope": (config(rope_parameters={"rope_type": "spiral", "rope_theta": 1e4}), "spiral"),
    "quantised": (config(quantization_config={"quant_method": "awq"}), "quantization_config"),
    "no heads": (config(num_attention_heads=0), "num_attention_heads"),
    "heads that do not divide": (config(num_key_value_heads=2), "2"),
    "negative width": (config(hidden_size=-42), "hidden_size"),
    "other width": (config(hidden_size=44), "44"),
    "a billion layers": (config(num_hidden_layers=10**9), "num_hidden_layers"),
    "one layer more": (config(num_hidden_layers=3), "layers.2"),
    "head of a mile": (config(head_dim=10**6), "head_dim"),
    "text for a number": (config(hidden_size="42"), "hidden_size"),
    "vocabulary beyond ids": (config(vocab_size=2**40), "vocab_size"),
    "base below one": (config(rope_parameters={"rope_type": "default", "rope_theta": 0}),
                       "rope_theta"),
    "tokenizer of brackets": (text("tokenizer.json", '{"model":' + "[" * 60_000), "nested"),
    "tokenizer of no kind": (text("tokenizer.json", '{"model":{"type":"Magic","vocab":{"a":0}}}'), "Magic"),
}
NEEDS_TEXT = {"tokenizer of brackets", "tokenizer of no kind"}


class HostileModel(Command):
    def model(self, damage):
        folder = self.folder / "model"
        shutil.copytree(DATA / "llama-1", folder)
        damage(folder)
        return str(folder)

    def refuse_quickly(self, arguments, words):
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        done = subprocess.run([BINARY, *arguments], stdout=subprocess.PIPE,
                              stderr=subprocess.PIPE, env=environment(), timeout=60)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        self.assert_refusal(done, 3, words)
        used = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
        self.assertLess(used, SECONDS)

    def damaged_encoder(self, name, damage, words):
        folder = self.folder / "encoder"
        shutil.copytree(DATA / name, folder)
        damage(folder)
        self.refuse_quickly(["embed", "-m", str(folder), "--ids", "1,2,3"], words)
        shutil.rmtree(folder)

    def test_encoders(self):
        for damage, words in [
                (cut, "cut short"),
                (text("config.json", '{"a":' + "[" * 60_000), "nested"),
                (config(num_hidden_layers=10**9), "num_hidden_layers"),
                (text("modules.json", "[" * 60_000), "nested"),
                (text("1_Pooling/config.json", '{"pooling_mode_mean_tokens": 1}'), "pooling_mode"),
                (text("sentence_bert_config.json", "[256]"), "is a list"),
                (text("sentence_bert_config.json", '{"max_seq_length": 0}'), "max_seq_length")]:
            with self.subTest(words):
                self.damaged_encoder("minilm-1", damage, words)

    def test_files_that_cost_too_much_are_unreadable(self):
        """Not a mistake of who runs them: exit code 3."""
        split = {"type": "Split", "pattern": {"Regex": "(a|aa)+[bc]"}, "behavior": "Isolated"}
        def slow(pre_tokenizer):
            return text("tokenizer.json", json.dumps({
                "version": "1.0", "added_tokens": [], "pre_tokenizer": pre_tokenizer,
                "model": {"type": "BPE", "vocab": {"a": 0, "b": 1}, "merges": []}}))
        model = self.model(slow(split))
        self.refuse_quickly(["score", "-m", model, "-p", "a" * 100_000], "backtracks too much")
        slow(None)(Path(model))
        text("chat_template.jinja", "{% for a in range(99999) %}{% for b in range(99999) %}"
             "{% endfor %}{% endfor %}")(Path(model))
        self.refuse_quickly(["chat", "-m", model, "-p", "a"], "over its budget")

    def test_a_file_is_named_once(self):
        model = self.model(text("tokenizer.json", "[]"))
        line = subprocess.run([BINARY, "score", "-m", model, "-p", "a"], stderr=subprocess.PIPE,
                              env=environment(), timeout=60).stderr.decode()
        self.assertEqual(line.count("tokenizer.json"), 1, line)
        self.assertIn("tokenizer.json: is array, not an object", line)
        self.assertNotIn(": :", line)

    def test_whole_it_runs(self):
        model = self.model(lambda folder: None)
        self.assertEqual(self.json_of("score", "-m", model, "--ids", "1,2,3")["token_count"], 3)


def case(verb, name, damage, words):
    def test(self):
        text = ["text"] if verb == "embed" else ["-p", "text"]
        what = text if name in NEEDS_TEXT else ["--ids", "1,2,3"]
        self.refuse_quickly([verb, "-m", self.model(damage), *what], words)
    return test


for number, (name, (damage, words)) in enumerate(CASES.items()):
    # The verbs load a model by the same call: a few cases show that each ends as score does.
    for verb in ["score"] if number % 4 else ["score", "generate", "embed"]:
        test = f"test_{number:02}_{verb}_{name.replace(' ', '_')}"
        setattr(HostileModel, test, case(verb, name, damage, words))

if __name__ == "__main__":
    unittest.main()
