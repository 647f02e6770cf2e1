"""Writes golden/templates.json: conversations, and each template of templates/ rendered over them.
With the file of SmolLM2 also golden/smollm2.json: 200 conversations by the template in it.

    python make_templates.py [SMOLLM2.gguf]        (jinja2 3.1.6)
"""

import json
import pathlib
import struct
import sys

from conversations import Maker
from reference import render

HERE = pathlib.Path(__file__).parent
CONVERSATIONS = 40


def write(name, value):
    with open(HERE / "golden" / name, "w", encoding="utf-8") as file:
        file.write(json.dumps(value, ensure_ascii=False, separators=(",", ":")) + "\n")


def template_of(path):
    """The string behind the key: its type (8), its length, its bytes."""
    with open(path, "rb") as file:
        head = file.read(1 << 24)
    key = b"tokenizer.chat_template"
    at = head.index(struct.pack("<Q", len(key)) + key + struct.pack("<I", 8)) + 12 + len(key)
    size, = struct.unpack_from("<Q", head, at)
    return head[at + 8:at + 8 + size].decode()


def main():
    conversations = [Maker(seed).conversation() for seed in range(CONVERSATIONS)]
    templates = {path.stem: [render(path.read_text(encoding="utf-8"), conversation)
                             for conversation in conversations]
                 for path in sorted((HERE / "templates").glob("*.jinja"))}
    for name, texts in templates.items():
        print(f"{name}: {sum(text is not None for text in texts)} of {len(texts)} render")
    write("templates.json", {"conversations": conversations, "templates": templates})
    if len(sys.argv) > 1:
        source = template_of(sys.argv[1])
        cases = []
        for seed in range(200):
            conversation = Maker(1000 + seed).plain()
            cases.append({"variables": conversation, "text": render(source, conversation)})
        write("smollm2.json", {"cases": cases})


if __name__ == "__main__":
    main()
