"""Conversations made up at random, the same from the same seed: roles, tools, documents, parts."""

import random

WORDS = ("a the of it is was in that with for this from tokens attention keys values reads "
         "writes quickly Größe naïve 日本語 Ελλάδα привет emoji🙂 x=1 3.14 C++ don't <b> & \"quoted\" "
         "\\ {x} {{y}} %s 100% </s> <|im_end|> [INST] e.g. end.").split(" ")
TOOL_WORDS = ["get_weather", "search", "add", "look_up_word", "Translate"]


class Maker:
    def __init__(self, seed):
        self.random = random.Random(seed)

    def text(self, most=12):
        r = self.random
        words = [r.choice(WORDS) for _ in range(r.randint(0, most))]
        text = words[0] if words else ""
        for word in words[1:]:
            text += r.choice([" ", " ", " ", " ", "\n", ": ", "\t", "\n\n"]) + word
        if r.random() < 0.15:
            text = "<think>\n" + text + "\n</think>\n\n" + r.choice(WORDS)
        if r.random() < 0.2:
            text = r.choice([" ", "\n", "  \n"]) + text + r.choice([" ", "\n\n", ""])
        return text

    def value(self, depth=0):
        r = self.random
        kinds = ["text", "int", "real", "bool", "none"] + (["list", "dict"] if depth < 2 else [])
        kind = r.choice(kinds)
        if kind == "text":
            return self.text(4)
        if kind == "int":
            return r.randint(-1000, 10**r.randint(1, 12))
        if kind == "real":
            return r.choice([0.5, 1e-7, 1e20, 3.0, -2.25, round(r.random(), 3)])
        if kind == "bool":
            return r.random() < 0.5
        if kind == "none":
            return None
        if kind == "list":
            return [self.value(depth + 1) for _ in range(r.randint(0, 3))]
        return {r.choice("abcdeé") + str(i): self.value(depth + 1) for i in range(r.randint(0, 3))}

    def schema(self, depth=0):
        r = self.random
        kind = r.choice(["string", "number", "integer", "boolean", "enum", "union", "any"]
                        + (["array", "object"] if depth < 2 else []))
        if kind == "enum":
            return {"type": "string", "enum": ["red", "<green>", "blue é"], "description": self.text(5)}
        if kind == "union":
            return {"type": ["string", "null"]}
        if kind == "any":
            return {"description": "whatever"}
        if kind == "array":
            return {"type": "array", "items": self.schema(depth + 1)}
        if kind == "object":
            return {"type": "object", "required": ["p0"],
                    "properties": {f"p{i}": self.schema(depth + 1) for i in range(r.randint(0, 3))}}
        made = {"type": kind, "description": self.text(8)}
        if r.random() < 0.3:
            made["default"] = {"string": "x", "number": 1.5, "integer": 3, "boolean": True}[kind]
        return made

    def tool(self, name):
        r = self.random
        properties = {f"{r.choice('abcxyz')}_{i}": self.schema() for i in range(r.randint(0, 3))}
        return {"type": "function", "function": {
            "name": name, "description": self.text(8),
            "parameters": {"type": "object", "properties": properties,
                           "required": [key for key in properties if r.random() < 0.5]}}}

    def content(self):
        r = self.random
        if r.random() < 0.85:
            return self.text()
        return [r.choice([{"type": "text", "text": self.text(5)}, {"type": "image"},
                          {"type": "text", "text": self.text(3)}])
                for _ in range(r.randint(1, 3))]

    def messages(self, tools):
        r = self.random
        messages = []
        if r.random() < 0.5:
            messages.append({"role": "system", "content": self.text()})
        for _ in range(r.randint(1, 4)):
            messages.append({"role": "user", "content": self.content()})
            if tools and r.random() < 0.5:
                calls = [{"type": "function", "id": "".join(r.choices("abc123", k=9)),
                          "function": {"name": r.choice(tools)["function"]["name"],
                                       "arguments": {k: self.value(1) for k in "ab"}}}
                         for _ in range(r.choice([1, 1, 1, 2]))]
                messages.append({"role": "assistant", "content": r.choice([None, "", self.text(4)]),
                                 "tool_calls": calls})
                for call in calls:
                    messages.append({"role": "tool", "content": r.choice([self.text(5), {"content": 5}]),
                                     "tool_call_id": call["id"], "name": call["function"]["name"]})
            if r.random() < 0.9:
                messages.append({"role": "assistant", "content": self.text()})
                if r.random() < 0.2:
                    messages[-1]["reasoning_content"] = self.text(5)
        if r.random() < 0.05:
            messages.append({"role": r.choice(["critic", "developer"]), "content": self.text(3)})
        if r.random() < 0.6 and messages[-1]["role"] == "assistant":
            messages.pop()
        return messages

    def conversation(self):
        r = self.random
        tools = [self.tool(n) for n in r.sample(TOOL_WORDS, r.randint(1, 3))] if r.random() < 0.4 else None
        made = {"messages": self.messages(tools), "tools": tools, "documents": None,
                "add_generation_prompt": r.random() < 0.7, "bos_token": "<s>", "eos_token": "</s>"}
        if r.random() < 0.3:
            made["documents"] = [
                {"title": self.text(2), "text": self.text(8), **({"kind": r.choice(["web", "book"])} if r.random() < 0.7 else {})}
                for _ in range(r.randint(1, 3))]
        if r.random() < 0.3:
            made["enable_thinking"] = r.random() < 0.5
        if r.random() < 0.2:
            made.update(r.choice([{"tools_in_user_message": False}, {"date_string": "1 Jan 2026"},
                                  {"citations": True}, {"reasoning_effort": "high"}]))
        return made

    def plain(self):
        """Roles and texts alone, as every template takes them."""
        r = self.random
        messages = [{"role": "system", "content": self.text()}] if r.random() < 0.4 else []
        for _ in range(r.randint(0, 3)):
            messages.append({"role": "user", "content": self.text()})
            messages.append({"role": "assistant", "content": self.text()})
        if r.random() < 0.8:
            messages.append({"role": "user", "content": self.text()})
        return {"messages": messages, "add_generation_prompt": r.random() < 0.8}
