"""Model: a checkpoint that generates, chats, scores, embeds and shows its numbers."""

import numbers
import os
import queue
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

import numpy as np

from regard import _core
from regard._core import Generation, Score
from regard._options import check_flag, thread_count
from regard._tokenizer import ChatTemplate, Message, Tokenizer, as_ids, as_messages

KvType = Literal["f32", "f16", "bf16", "i8"]
Prompt = str | Sequence[int]


@dataclass(frozen=True)
class ModelFacts:
    """What a model's file says about it; sizes in numbers, weight_bytes read for one token."""

    path: str
    architecture: str
    layers: int
    heads: int
    kv_heads: int
    dim: int
    width: int
    vocabulary: int
    context: int
    weight_bytes: int


class Forward(NamedTuple):
    """What a model makes of every token of a text, float32.

    logits         [tokens, vocabulary]
    hidden_states  [layers + 1, tokens, width]: the embedding, then what each block gives, the last
                   behind the final norm, as transformers' output_hidden_states; or None
    """

    logits: np.ndarray
    hidden_states: np.ndarray | None


def load(name_or_path: str | os.PathLike[str], *, threads: int = 0) -> "Model":
    """Loads a model.

    name_or_path  a .gguf file, a folder as transformers saves it (config.json, *.safetensors,
                  tokenizer.json), or the name of a model that `regard pull` has fetched
    threads       0 = all cores; never changes a bit

    Raises OSError, naming file, key or tensor and the rule, for what cannot be read.
    """
    return Model(_core.Model.load(os.fspath(name_or_path), thread_count(threads, "load")))


class Model:
    """A model in memory; regard.load() makes one. Calls of several threads take turns.

    Numbers depend on the file, the tokens, kv and the seed alone: not on threads, chunk, page,
    neighbours in a batch, or the machine's vector width.
    """

    def __init__(self, core: _core.Model) -> None:
        self._core = core
        self.facts = ModelFacts(**core.facts)

    def __repr__(self) -> str:
        return f"<regard.Model {self.facts.architecture} from {self.facts.path}>"

    @property
    def tokenizer(self) -> Tokenizer:
        """Raises OSError, saying why, where the file has none that regard knows."""
        return Tokenizer._of(self._core.tokenizer)

    @property
    def chat_template(self) -> ChatTemplate | None:
        """The one that came with the model."""
        found = self._core.chat_template("default")
        return None if found is None else ChatTemplate._of(found)

    def generate(self, prompt: Any, *, tokens: int = 256, temperature: float = 0.0,
                 top_k: int = 0, top_p: float = 1.0, min_p: float = 0.0, seed: int = 0,
                 stop: str | Sequence[str] = (), ignore_eos: bool = False, kv: KvType = "f16",
                 chunk: int = 512, page: int = 64) -> Any:
        """Continues a prompt, or many as one ragged batch: each result is what it would be alone.

        prompt       a text or token ids; or a list of these, which gives a list
        tokens       at most so many; the end of the context ends it too
        temperature  0 = the likeliest token; then top_k (0 = all), top_p and min_p, each on what
                     the one before left over, drawn by seed and position
        stop         the text ends before the first of these
        ignore_eos   go on after an end token
        kv           how keys and values are stored: f32, f16, bf16 or i8
        chunk, page  most prompt tokens in a step, keys in a page: they change no bit

        Returns Generation: prompt_ids, ids, text, finish_reason ("stop", "length"), timings.
        Raises ValueError for options outside these rules and a prompt longer than the context.
        """
        options = _options(tokens, temperature, top_k, top_p, min_p, seed, stop, ignore_eos, kv,
                           chunk, page)
        prompts, many = self._prompts(prompt, "generate")
        results = self._core.generate(prompts, options, None, None)
        return results if many else results[0]

    def stream(self, prompt: Any, *, tokens: int = 256, temperature: float = 0.0,
               top_k: int = 0, top_p: float = 1.0, min_p: float = 0.0, seed: int = 0,
               stop: str | Sequence[str] = (), ignore_eos: bool = False, kv: KvType = "f16",
               chunk: int = 512, page: int = 64) -> "Stream":
        """generate() piece by piece: iterate over whole characters as they come.

        prompt is one text, token ids, or a conversation as chat() takes it. Leaving the loop ends
        the generation; afterwards .result is its Generation.
        """
        options = _options(tokens, temperature, top_k, top_p, min_p, seed, stop, ignore_eos, kv,
                           chunk, page)
        if _is_conversation(prompt):
            ids = self._chat_ids(prompt, {})
        else:
            (ids, *_), many = self._prompts(prompt, "stream")
            if many:
                raise TypeError("stream: takes one prompt; generate() takes many")
        return Stream(self._core, ids, options)

    def chat(self, messages: Sequence[Message], *, tokens: int = 256, temperature: float = 0.0,
             top_k: int = 0, top_p: float = 1.0, min_p: float = 0.0, seed: int = 0,
             stop: str | Sequence[str] = (), kv: KvType = "f16",
             template: ChatTemplate | None = None, **variables: Any) -> Generation:
        """The assistant's answer to a conversation.

        messages   dicts with role and content; what they say never makes a control token
        template   default: the model's own
        variables  further ones for the template, such as tools
        The other arguments are generate()'s.

        Raises ValueError when the template refuses the conversation, OSError when the model has no
        template and none is given.
        """
        options = _options(tokens, temperature, top_k, top_p, min_p, seed, stop, False, kv, 512, 64)
        ids = self._chat_ids(messages, variables, template)
        return self._core.generate([ids], options, None, None)[0]

    def score(self, text: Any, *, top: int = 0, kv: KvType = "f16", chunk: int = 512,
              page: int = 64) -> Any:
        """How likely a text is, or many as one ragged batch.

        text  a text or token ids; or a list of these, which gives a list
        top   how many of the largest logits after the last token to report

        Returns Score: token_count, mean_nll (nats), perplexity, bits (hash of all logits), top.
        """
        texts, many = self._prompts(text, "score")
        results = self._core.score(texts, top, kv, chunk, page)
        return results if many else results[0]

    def forward(self, text: Prompt, *, hidden_states: bool = True, kv: KvType = "f32",
                chunk: int = 512, page: int = 64) -> Forward:
        """Logits and hidden states of every token of a text or of token ids, as arrays."""
        (ids, *_), many = self._prompts(text, "forward")
        if many:
            raise TypeError("forward: takes one text")
        return Forward(*self._core.forward(
            ids, check_flag(hidden_states, "hidden_states", "forward"), kv, chunk, page))

    def embed(self, texts: Any, *, pooling: Literal["mean", "cls", "last", "max"] | None = None,
              normalise: bool | None = None, truncate: bool = False) -> np.ndarray:
        """A vector for each text, [texts, width] float32; one text gives [width].

        texts      a text or token ids; or a list of these, run together without padding
        pooling    default: as the checkpoint says, else "mean"
        normalise  to length 1; default: as the checkpoint says, else True
        truncate   a text longer than the context keeps its beginning, instead of ValueError
        """
        ids, many = self._prompts(texts, "embed")
        vectors, _ = self._core.embed(ids, pooling, normalise,
                                      check_flag(truncate, "truncate", "embed"))
        return vectors if many else vectors[0]

    def _prompts(self, prompt: Any, call: str) -> tuple[list[list[int]], bool]:
        """Ids of each, and whether there were many."""
        if isinstance(prompt, str):
            return [self._core.encode(prompt)], False
        if isinstance(prompt, np.ndarray) and prompt.ndim == 1 and prompt.size:
            return [as_ids(prompt, call)], False
        try:
            every = list(prompt)
        except TypeError:
            raise TypeError(f"{call}: takes a text, token ids, or a list of these, "
                            f"not {type(prompt).__name__}") from None
        if not every:
            raise ValueError(f"{call}: the prompt is empty")
        if not isinstance(every[0], (str, list, tuple, np.ndarray)):
            return [as_ids(every, call)], False
        return [self._core.encode(one) if isinstance(one, str) else as_ids(one, call)
                for one in every], True

    def _chat_ids(self, messages: Sequence[Message], variables: dict[str, Any],
                  template: ChatTemplate | None = None) -> list[int]:
        messages = as_messages(messages)
        template = template or self.chat_template
        if template is None:
            raise OSError(f"{self.facts.path}: has no chat template; give one as template=")
        tokenizer = self.tokenizer
        names = {f"{end}_token": tokenizer.token(id) for end, id in
                 (("bos", tokenizer.bos), ("eos", tokenizer.eos)) if id is not None}
        return self._core.encode_chat(
            template._render(messages, True, None, {**names, **variables}))


class _Run:
    """A generation in a thread of its own, which holds this and not the Stream that reads it."""

    def __init__(self) -> None:
        self.pieces: queue.SimpleQueue[str | None] = queue.SimpleQueue()
        self.interrupt = _core.Interrupt()
        self.result: Generation | None = None
        self.error: BaseException | None = None

    def __call__(self, core: _core.Model, ids: list[int], options: _core.GenerateOptions) -> None:
        try:
            self.result = core.generate([ids], options, lambda _, piece: self.pieces.put(piece),
                                        self.interrupt)[0]
        except BaseException as error:  # noqa: BLE001  raised where somebody waits for it
            self.error = error
        self.pieces.put(None)


class Stream(Iterator[str]):
    """The pieces of a generation, as they come; Model.stream() makes one."""

    def __init__(self, core: _core.Model, ids: list[int],
                 options: _core.GenerateOptions) -> None:
        self._run = _Run()
        self._ended = False
        self._thread = threading.Thread(target=self._run, args=(core, ids, options),
                                        name="regard.stream", daemon=True)
        self._thread.start()

    def __iter__(self) -> "Stream":
        return self

    def __next__(self) -> str:
        piece = None if self._ended else self._run.pieces.get()
        if piece is not None:
            return piece
        self._ended = True
        if self._run.error is not None:
            raise self._run.error
        raise StopIteration

    def __enter__(self) -> "Stream":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __del__(self) -> None:
        if hasattr(self, "_run"):
            self._run.interrupt.set()

    def close(self) -> None:
        """Ends the generation where it is."""
        self._run.interrupt.set()
        self._thread.join()

    @property
    def result(self) -> Generation:
        """What came of it; waits for the end. An interrupted one says so in finish_reason."""
        self._thread.join()
        if self._run.error is not None:
            raise self._run.error
        return self._run.result


def _is_conversation(prompt: Any) -> bool:
    return isinstance(prompt, (list, tuple)) and bool(prompt) and isinstance(prompt[0], dict)


def _options(tokens: int, temperature: float, top_k: int, top_p: float, min_p: float, seed: int,
             stop: str | Sequence[str], ignore_eos: bool, kv: str, chunk: int,
             page: int) -> _core.GenerateOptions:
    stops = [stop] if isinstance(stop, str) else stop
    if not isinstance(stops, Sequence) or not all(isinstance(one, str) for one in stops):
        raise TypeError(f"generate: stop is {stop!r}, must be a text or a list of texts")
    for name, number in (("tokens", tokens), ("top_k", top_k), ("seed", seed), ("chunk", chunk),
                         ("page", page)):
        if not isinstance(number, numbers.Integral) or isinstance(number, bool):
            raise TypeError(f"generate: {name} is {number!r}, must be an integer")
    for name, number in (("temperature", temperature), ("top_p", top_p), ("min_p", min_p)):
        if not isinstance(number, numbers.Real) or isinstance(number, bool):
            raise TypeError(f"generate: {name} is {number!r}, must be a number")
    if not 0 <= seed < 2**64:
        raise ValueError(f"generate: seed ({seed}) is not in 0 .. 2^64 - 1")
    return _core.GenerateOptions(int(tokens), float(temperature), int(top_k), float(top_p),
                                 float(min_p), int(seed), list(stops),
                                 check_flag(ignore_eos, "ignore_eos", "generate"), kv, int(chunk),
                                 int(page))
