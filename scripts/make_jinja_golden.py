#!/usr/bin/env python3
"""Writes tests/golden/jinja: what transformers' Jinja environment makes of templates.

language.json: the small templates of jinja_golden_cases.py, each with its output and {% generation %} spans (as byte
ranges), or the error's line ("raises").
chat_templates.json: with --templates DIR, for every *.jinja file there the outputs for a set of conversations. Of the
templates only name and SHA-256 are stored, of the outputs the SHA-256, the length and the beginning.

Needs: pip install transformers jinja2. The C++ side is tests/text/jinja_golden_test.cpp and chat_template_golden_test.cpp.
"""

import argparse
import hashlib
import json
import pathlib
import re
import traceback

import jinja2
from transformers.utils.chat_template_utils import _compile_jinja_template, _render_with_assistant_indices, render_jinja_template

import jinja_golden_cases

GOLDEN = pathlib.Path(__file__).resolve().parent.parent / "tests" / "golden" / "jinja"


def byte_spans(text, spans):
    return [[len(text[:begin].encode()), len(text[:end].encode())] for begin, end in spans]


def template_line(error):
    """The line of the template that the error comes from; None where Python does not tell."""
    if isinstance(error, jinja2.TemplateSyntaxError):
        return error.lineno
    for frame in reversed(traceback.extract_tb(error.__traceback__)):
        if frame.filename in ("<template>", "<unknown>"):
            return frame.lineno
    return None


def render_small(source):
    context = jinja_golden_cases.CONTEXT
    names = {"tools": None, **{k: v for k, v in context.items() if k != "messages"}}
    tools = names.pop("tools")
    try:
        template = _compile_jinja_template(source)
        text, spans = _render_with_assistant_indices(
            template, context["messages"], tools, None, False, **names)
        if re.search(r" at 0x[0-9a-f]+", text):
            return {"source": source}  # prints an address: only that it renders is comparable
        return {"source": source, "text": text, "spans": byte_spans(text, spans)}
    except Exception as error:  # whatever a template can raise is a result here
        return {"source": source, "raises": type(error).__name__, "line": template_line(error)}


def write_language():
    groups = {name: [render_small(source) for source in sources] for name, sources in jinja_golden_cases.GROUPS.items()}
    golden = {"context": jinja_golden_cases.CONTEXT, "groups": groups}
    path = GOLDEN / "language.json"
    path.write_text(json.dumps(golden, ensure_ascii=True, indent=1) + "\n")
    print(path, sum(len(cases) for cases in groups.values()), "cases")


WEATHER = {"type": "function", "function": {
    "name": "get_weather", "description": "Tells the weather of a place.",
    "parameters": {"type": "object", "properties": {
        "city": {"type": "string", "description": "Name of the \"city\""},
        "unit": {"type": "string", "enum": ["celsius", "fahrenheit"], "default": "celsius"},
        "days": {"type": "array", "items": {"type": "integer"}, "description": "days ahead"},
        "where": {"type": "object", "properties": {"lat": {"type": "number"}, "lon": {"type": "number"}}, "required": ["lat"]}},
        "required": ["city"]}}}
CALL = {"role": "assistant", "content": "", "tool_calls": [
    {"id": "call00001", "type": "function", "function": {"name": "get_weather", "arguments": {"city": "Zürich", "days": [1, 2], "deep": {"x": None, "y": True}}}}]}
USER, ASSISTANT = {"role": "user", "content": "Hi there"}, {"role": "assistant", "content": "Hello!"}

CONVERSATIONS = {
    "one_turn": {"messages": [USER, ASSISTANT]},
    "prompt": {"messages": [USER], "add_generation_prompt": True},
    "system": {"messages": [{"role": "system", "content": "Be brief. "}, USER, ASSISTANT]},
    "system_prompt": {"messages": [{"role": "system", "content": "Be brief."}, USER], "add_generation_prompt": True},
    "many_turns": {"messages": [{"role": "system", "content": "S"}, USER, ASSISTANT, {"role": "user", "content": " spaces \n"}, {"role": "assistant", "content": "\n answer\n "}, USER, ASSISTANT]},
    "unicode": {"messages": [{"role": "user", "content": "Grüße 世界 😀 <b>&'\"</b> {{ x }} {% y %}"}, {"role": "assistant", "content": "žluťoučký kůň\n\t⟨⟩"}]},
    "thinking": {"messages": [USER, {"role": "assistant", "content": "<think>\nhm\n</think>\n\nFirst"}, {"role": "user", "content": "And?"}, {"role": "assistant", "content": "Second", "reasoning_content": "well\nthen"}]},
    "tools": {"messages": [USER, CALL, {"role": "tool", "name": "get_weather", "tool_call_id": "call00001", "content": "{\"t\": 20.5}"}, {"role": "assistant", "content": "20.5 degrees"}], "tools": [WEATHER]},
    "tools_prompt": {"messages": [{"role": "system", "content": "Sys"}, USER], "tools": [WEATHER], "add_generation_prompt": True},
    "parts": {"messages": [{"role": "user", "content": [{"type": "text", "text": "What is this?"}, {"type": "image"}]}, {"role": "assistant", "content": [{"type": "text", "text": "A cat."}]}]},
    "no_thinking": {"messages": [USER], "add_generation_prompt": True, "extra": {"enable_thinking": False}},
    "assistant_first": {"messages": [ASSISTANT, USER]},
    "empty": {"messages": []},
}


def render_chat(source, conversation):
    kwargs = {"bos_token": "<s>", "eos_token": "</s>", **conversation.get("extra", {})}
    try:
        texts, spans = render_jinja_template(
            [conversation["messages"]], tools=conversation.get("tools"), chat_template=source,
            return_assistant_tokens_mask=True, add_generation_prompt=conversation.get("add_generation_prompt", False),
            **kwargs)
    except Exception as error:  # whatever a template can raise is a result here
        return {"raises": type(error).__name__}
    data = texts[0].encode()
    return {"sha256": hashlib.sha256(data).hexdigest(), "bytes": len(data), "begins": texts[0][:120],
            "spans": byte_spans(texts[0], spans[0])}


def write_chat_templates(folder):
    templates = []
    for path in sorted(folder.glob("*.jinja")):
        source = path.read_bytes().decode()
        templates.append({
            "name": path.name, "sha256": hashlib.sha256(path.read_bytes()).hexdigest(),
            "results": {name: render_chat(source, conversation) for name, conversation in CONVERSATIONS.items()}})
    path = GOLDEN / "chat_templates.json"
    path.write_text(json.dumps({"conversations": CONVERSATIONS, "templates": templates}, ensure_ascii=True, separators=(",", ":")) + "\n")
    print(path, len(templates), "templates", path.stat().st_size, "bytes")


def fix_clock(day="2026-01-31 08:05:09"):
    """strftime_now tells this moment, for outputs that do not change."""
    import datetime

    import transformers.utils.chat_template_utils as module

    class FixedDatetime(datetime.datetime):
        @classmethod
        def now(cls, tz=None):
            return cls.fromisoformat(day)

    module.datetime = FixedDatetime


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--templates", type=pathlib.Path, help="folder of chat templates (*.jinja)")
    arguments = parser.parse_args()
    GOLDEN.mkdir(parents=True, exist_ok=True)
    fix_clock()
    write_language()
    if arguments.templates:
        write_chat_templates(arguments.templates)


if __name__ == "__main__":
    main()
