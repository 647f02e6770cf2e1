"""Tokenizer and ChatTemplate: text to token ids and back, conversations to text."""

import datetime
import json
import operator
from collections.abc import Mapping, Sequence
from typing import Any

from regard import _core

Message = Mapping[str, Any]


class Tokenizer:
    """Text to token ids and back: byte-level BPE, SentencePiece's BPE, WordPiece, Unigram.

    tokenizer_json         the text of a tokenizer.json
    tokenizer_config_json  that of the tokenizer_config.json beside it, if there is one

    A model's own is model.tokenizer. Any number of threads may use one.
    Raises OSError, naming the key, for a file that is damaged or not supported.
    """

    def __init__(self, tokenizer_json: str, tokenizer_config_json: str = "") -> None:
        self._core = _core.Tokenizer.from_json(tokenizer_json, tokenizer_config_json)

    @classmethod
    def _of(cls, core: _core.Tokenizer) -> "Tokenizer":
        made = cls.__new__(cls)
        made._core = core
        return made

    def __len__(self) -> int:
        """Tokens in the vocabulary."""
        return self._core.size

    def __repr__(self) -> str:
        return f"<regard.Tokenizer of {len(self)} tokens>"

    def encode(self, text: str, *, special: bool = True, add_ends: bool = True) -> list[int]:
        """The ids of a text.

        special   whether the text may name control tokens; not what a user typed into a chat
        add_ends  whether what belongs around a text is added: BOS, EOS, [CLS], [SEP]
        """
        return self._core.encode(text, special, add_ends)

    def encode_with_offsets(self, text: str, *, special: bool = True, add_ends: bool = True
                            ) -> tuple[list[int], list[tuple[int, int]]]:
        """The ids, and for each the characters [begin, end) of the text that it came from.

        A piece of a character counts as the whole character; an added token came from none.
        """
        return self._core.encode_with_offsets(text, special, add_ends)

    def decode(self, ids: Sequence[int], *, keep_special: bool = False) -> str:
        """The text of some ids; control tokens are written only if they are kept.

        Raises ValueError for an id outside the vocabulary.
        """
        return self._core.decode(as_ids(ids, "Tokenizer.decode"), keep_special)

    def token(self, id: int) -> str:  # noqa: A002
        """One token alone, a piece of a character as <0xE2>."""
        return self._core.display(operator.index(id))

    def find(self, token: str) -> int | None:
        """The id of a vocabulary's entry, as the file spells it: "<|im_end|>", "Ġthe"."""
        return self._core.find(token)

    @property
    def bos(self) -> int | None:
        """The token that begins a text."""
        return self._core.bos

    @property
    def eos(self) -> int | None:
        """The token that ends a text."""
        return self._core.eos

    def ends_generation(self, id: int) -> bool:  # noqa: A002
        """Whether a model that gives this token has finished."""
        return self._core.ends_generation(operator.index(id))


class ChatTemplate:
    """A conversation as the text that a model was trained on, by the Jinja of chat templates.

    source  the template; the model's own is model.chat_template

    It reaches nothing but its variables and ends within a budget: docs/chat.md. Any number of
    threads may use one. Raises OSError, naming the line, for what is no template.
    """

    def __init__(self, source: str) -> None:
        self._core = _core.ChatTemplate(source)

    @classmethod
    def _of(cls, core: _core.ChatTemplate) -> "ChatTemplate":
        made = cls.__new__(cls)
        made._core = core
        return made

    @property
    def source(self) -> str:
        """The template itself."""
        return self._core.source

    def render(self, messages: Sequence[Message], *, add_generation_prompt: bool = True,
               now: datetime.datetime | None = None, **variables: Any) -> str:
        """The conversation as text.

        messages               dicts with role and content, and whatever the template reads
        add_generation_prompt  the text ends where the assistant's answer begins
        now                    what strftime_now tells; default: the local time
        variables              further ones: tools, documents, bos_token, ...

        Raises ValueError when the template refuses the conversation, or it is not JSON.
        """
        return self._render(messages, add_generation_prompt, now, variables).text

    def _render(self, messages: Sequence[Message], add_generation_prompt: bool,
                now: datetime.datetime | None, variables: Mapping[str, Any]) -> _core.RenderedChat:
        every = {"tools": None, "documents": None, **variables,
                 "messages": as_messages(messages),
                 "add_generation_prompt": add_generation_prompt}
        try:
            text = json.dumps(every, ensure_ascii=False, allow_nan=False)
        except (TypeError, ValueError) as error:
            raise ValueError(f"ChatTemplate.render: a variable is not JSON: {error}") from None
        moment = now or datetime.datetime.now()  # noqa: DTZ005
        return self._core.render(text, list(moment.timetuple()[:6]))


def as_ids(ids: Any, call: str) -> list[int]:
    try:
        return [operator.index(one) for one in ids]
    except TypeError:
        raise TypeError(f"{call}: ids must be a sequence of integers") from None


def as_messages(messages: Any) -> list[dict[str, Any]]:
    if isinstance(messages, (str, bytes, Mapping)) or not isinstance(messages, Sequence):
        raise TypeError("messages must be a list of dicts with role and content")
    for at, message in enumerate(messages):
        if not isinstance(message, Mapping) or not isinstance(message.get("role"), str):
            raise TypeError(f"messages[{at}] is {message!r}, must be a dict with role and content")
    return [dict(message) for message in messages]
