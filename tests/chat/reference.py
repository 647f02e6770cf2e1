"""Chat templates as transformers renders them: jinja2 with its settings. For the make_*.py beside.

The settings are facts of transformers 5.24 (utils/chat_template_utils.py): the immutable sandbox,
trim_blocks, lstrip_blocks, loop controls, `generation` blocks, json.dumps without HTML escapes, and
a clock, which is stopped here.
"""

import datetime
import json

import jinja2
import jinja2.ext
import jinja2.sandbox

NOW = datetime.datetime(2026, 3, 9, 14, 5, 6)


class Generation(jinja2.ext.Extension):
    tags = {"generation"}

    def parse(self, parser):
        line = next(parser.stream).lineno
        body = parser.parse_statements(["name:endgeneration"], drop_needle=True)
        return jinja2.nodes.CallBlock(self.call_method("_rendered"), [], [], body).set_lineno(line)

    def _rendered(self, caller):
        return caller()


def _raise(message):
    raise jinja2.exceptions.TemplateError(message)


def _to_json(value, ensure_ascii=False, indent=None, separators=None, sort_keys=False):
    return json.dumps(value, ensure_ascii=ensure_ascii, indent=indent, separators=separators,
                      sort_keys=sort_keys)


class _Namespace(jinja2.utils.Namespace):
    def __init__(*arguments, **named):
        self, rest = arguments[0], arguments[1:]
        values = dict(*rest, **named)
        if any(name.startswith("_") for name in values):
            raise jinja2.exceptions.SecurityError("underscore")
        jinja2.utils.Namespace.__init__(self, values)

    def __setitem__(self, name, value):
        if name.startswith("_"):
            raise jinja2.exceptions.SecurityError("underscore")
        jinja2.utils.Namespace.__setitem__(self, name, value)


def environment():
    made = jinja2.sandbox.ImmutableSandboxedEnvironment(
        trim_blocks=True, lstrip_blocks=True, extensions=[Generation, jinja2.ext.loopcontrols])
    made.filters["tojson"] = _to_json
    made.globals["raise_exception"] = _raise
    made.globals["strftime_now"] = NOW.strftime
    made.globals["namespace"] = _Namespace
    return made


def render(source, variables):
    """The text, or None where jinja2 raises."""
    try:
        return environment().from_string(source).render(**variables)
    except Exception:  # whatever: the template does not render
        return None
