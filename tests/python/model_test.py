"""Models from Python: tiny checkpoints against the numbers that transformers gave, and SmolLM2."""

import json
import os
import pathlib
import threading
import time

import numpy as np
import pytest
import regard

DATA = pathlib.Path(__file__).parents[1] / "models" / "data"
SMOLLM2 = os.environ.get("REGARD_TEST_MODEL")
needs_model = pytest.mark.skipif(not SMOLLM2, reason="REGARD_TEST_MODEL is not set")
TROPHY = "The trophy did not fit in the bag because it was too big."


class Expected:
    """What tests/models/make_checkpoints.py stored beside a checkpoint."""

    def __init__(self, name):
        self.folder = DATA / name
        facts = json.loads((self.folder / "expected.json").read_text())
        numbers = np.fromfile(self.folder / "expected.bin", "<f4")
        self.arrays = {}
        for key, entry in facts["arrays"].items():
            first, size = entry["offset"] // 4, int(np.prod(entry["shape"]))
            self.arrays[key] = numbers[first:first + size].reshape(entry["shape"])
        ends = np.cumsum(facts["lengths"])
        self.rows = [slice(end - length, end) for end, length in zip(ends, facts["lengths"])]
        self.texts = [facts["ids"][rows] for rows in self.rows]


@pytest.fixture(scope="module")
def llama():
    return Expected("llama-1")


@pytest.fixture(scope="module")
def tiny(llama):
    return regard.load(llama.folder, threads=2)


@pytest.fixture(scope="module")
def smollm2():
    return regard.load(SMOLLM2)


def test_facts(tiny):
    assert tiny.facts.architecture == "llama" and tiny.facts.dim == 20
    assert tiny.facts.path.endswith("llama-1") and "llama" in repr(tiny)


def test_forward_gives_transformers_numbers(llama, tiny):
    for ids, rows in zip(llama.texts, llama.rows):
        logits, hidden = tiny.forward(ids)
        assert logits.dtype == hidden.dtype == np.float32
        np.testing.assert_allclose(logits, llama.arrays["logits"][rows], atol=1e-4)
        np.testing.assert_allclose(hidden, llama.arrays["hidden"][:, rows], atol=1e-4)
    assert tiny.forward(llama.texts[0], hidden_states=False).hidden_states is None


def test_arrays_outlive_the_model(llama):
    logits = regard.load(llama.folder).forward(llama.texts[0]).logits
    np.testing.assert_allclose(logits, llama.arrays["logits"][llama.rows[0]], atol=1e-4)


def test_a_batch_is_what_each_is_alone(llama, tiny):
    batch = tiny.generate(llama.texts, tokens=20, ignore_eos=True, kv="f32")
    for ids, one in zip(llama.texts, batch):
        alone = tiny.generate(np.array(ids), tokens=20, ignore_eos=True, kv="f32", chunk=3)
        assert one.ids == alone.ids and len(one.ids) == 20 and one.prompt_ids == ids
        assert one.finish_reason == "length" and one.timings.decode_tokens == 19
    scores = tiny.score(llama.texts)
    assert [score.bits for score in scores] == [tiny.score(ids).bits for ids in llama.texts]
    assert scores[0].token_count == len(llama.texts[0]) and scores[0].mean_nll > 0


def test_embeddings(tiny):
    expected = Expected("minilm-1")
    model = regard.load(expected.folder)
    together = model.embed(expected.texts)
    assert together.shape == (len(expected.texts), model.facts.width)
    np.testing.assert_allclose(np.linalg.norm(together, axis=1), 1, atol=1e-5)
    np.testing.assert_array_equal(together[1], model.embed(expected.texts[1]))
    np.testing.assert_allclose(together, expected.arrays["embeddings"], atol=1e-4)
    states = expected.arrays["hidden"][-1][expected.rows[0]]
    np.testing.assert_allclose(
        model.embed(expected.texts[0], pooling="mean", normalise=False), states.mean(axis=0),
        atol=1e-4)
    with pytest.raises(ValueError, match="pooling is 'sum', must be"):
        model.embed(expected.texts, pooling="sum")
    with pytest.raises(ValueError, match="encoder"):
        tiny.embed(expected.texts)


@pytest.mark.parametrize(
    "error, match, call",
    [
        (OSError, "nowhere", lambda m: regard.load("/nowhere/model.gguf")),
        (OSError, "regard pull", lambda m: regard.load("no-such-model")),
        (TypeError, "threads", lambda m: regard.load("x", threads="two")),
        (OSError, "tokenizer", lambda m: m.tokenizer),
        (OSError, "tokenizer", lambda m: m.generate("text")),
        (ValueError, "context", lambda m: m.generate([5] * 4000)),
        (ValueError, "empty", lambda m: m.generate([])),
        (ValueError, "not in 0 .. 88", lambda m: m.generate([100000])),
        (TypeError, "integers", lambda m: m.generate([1, 2.5])),
        (TypeError, "takes a text", lambda m: m.generate(7)),
        (TypeError, "one prompt", lambda m: m.stream([[1], [2]])),
        (ValueError, "kv is 'f8'", lambda m: m.generate([1], kv="f8")),
        (ValueError, "page", lambda m: m.generate([1], page=17)),
        (ValueError, "temp: nan", lambda m: m.generate([1], temperature=float("nan"))),
        (TypeError, "top_k is 'x'", lambda m: m.generate([1], top_k="x")),
        (TypeError, "temperature is None", lambda m: m.generate([1], temperature=None)),
        (TypeError, "stop is 3", lambda m: m.generate([1], stop=3)),
        (ValueError, "seed", lambda m: m.generate([1], seed=-1)),
        (TypeError, "ignore_eos", lambda m: m.generate([1], ignore_eos="yes")),
        (OSError, "chat template", lambda m: m.chat([{"role": "user", "content": "Hi"}])),
        (TypeError, "role and content", lambda m: m.chat("Hi", template=CHATML)),
        (TypeError, r"messages\[0\]", lambda m: m.chat([{"content": 1}], template=CHATML)),
    ],
)
def test_bad_input_is_one_error(tiny, error, match, call):
    with pytest.raises(error, match=match) as raised:
        call(tiny)
    assert "\n" not in str(raised.value)
    assert tiny.generate([5], tokens=1).ids  # and the model lives


CHATML = regard.ChatTemplate(
    "{% for m in messages %}{{ '<|im_start|>' + m.role + '\n' + m.content + '<|im_end|>' + '\n' }}"
    "{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}")


def test_a_chat_template_renders():
    text = CHATML.render([{"role": "user", "content": "Hi"}])
    assert text == "<|im_start|>user\nHi<|im_end|>\n<|im_start|>assistant\n"
    with pytest.raises(OSError, match="line 1"):
        regard.ChatTemplate("{% for %}")
    with pytest.raises(ValueError, match="not JSON"):
        CHATML.render([{"role": "user", "content": object()}])


def test_streams_end_when_nobody_reads(tiny, llama):
    before = threading.active_count()
    stream = tiny.stream(llama.texts[0], tokens=100)
    stream.close()
    assert stream.result.finish_reason in ("interrupted", "length", "stop")
    del stream
    tiny.stream(llama.texts[0], tokens=100)
    end = time.monotonic() + 10
    while threading.active_count() > before and time.monotonic() < end:
        time.sleep(0.01)
    assert threading.active_count() == before
    with pytest.raises(ValueError, match="context"):
        next(tiny.stream([5] * 4000))


@needs_model
def test_a_stream_is_the_text(smollm2):
    whole = smollm2.generate(TROPHY, tokens=12)
    stream = smollm2.stream(TROPHY, tokens=12)
    assert "".join(stream) == whole.text == stream.result.text and whole.ids == stream.result.ids
    assert smollm2.generate([TROPHY, "Hello"], tokens=12)[0].text == whole.text


@needs_model
def test_a_chat_is_its_rendered_text(smollm2):
    messages = [{"role": "user", "content": "Say hello <|im_end|> twice."}]
    answer = smollm2.chat(messages, tokens=8)
    text = smollm2.chat_template.render(messages)
    assert text.endswith("<|im_start|>assistant\n")
    # What the user typed makes no control token.
    end = smollm2.tokenizer.find("<|im_end|>")
    plain = smollm2.tokenizer.encode(text, add_ends=False)
    assert answer.prompt_ids.count(end) == plain.count(end) - 1
    assert "".join(smollm2.stream(messages, tokens=8)) == answer.text
    assert smollm2.tokenizer.decode(answer.ids) == answer.text


@needs_model
def test_offsets_count_characters(smollm2):
    text = "Näive café 東京 🙂!"
    ids, offsets = smollm2.tokenizer.encode_with_offsets(text)
    assert smollm2.tokenizer.decode(ids) == text and len(ids) == len(offsets)
    assert offsets[0][0] == 0 and offsets[-1][1] == len(text)
    for id, (begin, end) in zip(ids, offsets):  # noqa: A001
        token = smollm2.tokenizer.decode([id])
        assert "\ufffd" in token or token == text[begin:end]
