"""Prompts about a tool call: what they take, and what a workflow gets."""

import json
from typing import Any

import pytest
from django import forms
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from sessions_app.errors import Invalid
from sessions_app.prompts import Answer, JsonAnswer, PageAnswer, dump_prompt, load_prompt
from sessions_app.workflows import ToolCallPrompt, ToolCallResponse

ORDER_SCHEMA: dict[str, Any] = {
    "type": "object",
    "properties": {
        "supplier": {"enum": ["Nuts", "Bolts"]},
        "pieces": {"type": "integer", "minimum": 1, "maximum": 500},
        "day": {"type": "string", "format": "date"},
        "letter": {"type": "string"},
        "express": {"type": "boolean", "default": False},
        "lines": {"type": "array", "items": {"$ref": "#/$defs/line"}},
    },
    "required": ["supplier", "pieces", "letter"],
    "additionalProperties": False,
    "$defs": {"line": {"type": "object", "properties": {"item": {"type": "string"}}}},
}
ARGUMENTS: dict[str, Any] = {
    "supplier": "Nuts",
    "pieces": 200,
    "day": "2026-12-01",
    "letter": "Dear Nuts,\nplease.",
    "lines": [{"item": "M5"}],
}
ORDER = ToolCallPrompt(
    text="Order the parts?",
    tool="order",
    arguments=ARGUMENTS,
    input_schema=ORDER_SCHEMA,
    editable=True,
    answerable=True,
)
FIXED = ToolCallPrompt(text="Delete it?", tool="delete", arguments={"name": "a"})
# As the page sends the form when nothing is edited.
FIELDS = {
    "supplier": ["Nuts"],
    "pieces": ["200"],
    "day": ["2026-12-01"],
    "letter": ["Dear Nuts,\nplease."],
    "lines": ['[{"item": "M5"}]'],
    "_note": [""],
}


def as_answer(answer: Any) -> Answer:
    """Return an answer of a page as it is; else that of a program."""
    return answer if isinstance(answer, PageAnswer) else JsonAnswer.of(answer)


def page(decision: str, **edits: list[str]) -> PageAnswer:
    """Return what the page sends: the pressed button, and the fields with edits."""
    return PageAnswer(values=[decision], fields={**FIELDS, **edits})


def decide(prompt: ToolCallPrompt, answer: Any) -> ToolCallResponse:
    """Return the decision by way of what is stored."""
    stored = json.loads(json.dumps(prompt.check(as_answer(answer))))
    return prompt.respond(stored, by="ann", at=None, is_default=False)


def problems(prompt: ToolCallPrompt, answer: Any) -> dict[str, Any]:
    with pytest.raises(Invalid) as refused:
        prompt.check(as_answer(answer))
    details: dict[str, Any] = refused.value.details.get("errors", {})
    return details


def test_stored_prompt_loads_as_the_same_prompt() -> None:
    for prompt in (ORDER, FIXED):
        assert load_prompt(json.loads(dump_prompt(prompt))) == prompt


@pytest.mark.parametrize("answer", ["approve", {"decision": "approve"}, page("approve")])
def test_approval_without_edits_keeps_the_arguments_to_the_letter(answer: Any) -> None:
    decision = decide(ORDER, answer)
    assert decision.approved
    assert decision.arguments == ARGUMENTS
    assert decision.changed == ()


def test_edited_arguments_have_the_types_of_the_schema() -> None:
    edits = {"pieces": ["150"], "day": ["2026-12-24"], "express": ["on"], "lines": ["[]"]}
    decision = decide(ORDER, page("approve", **edits))
    assert decision.arguments == {
        "supplier": "Nuts",
        "pieces": 150,
        "day": "2026-12-24",
        "letter": "Dear Nuts,\nplease.",
        "express": True,
    }
    assert set(decision.changed) == {"pieces", "day", "express", "lines"}


def test_program_sends_all_arguments_as_json() -> None:
    edited = {"supplier": "Bolts", "pieces": 3, "letter": ""}
    decision = decide(ORDER, {"decision": "approve", "arguments": edited})
    assert decision.arguments == edited
    assert set(decision.changed) == {"supplier", "pieces", "day", "letter", "lines"}


def test_emptied_argument_is_left_out_if_it_is_optional() -> None:
    schema = {**ORDER_SCHEMA, "required": ["lines"]}
    order = ORDER.model_copy(update={"input_schema": schema})
    decision = decide(order, page("approve", day=[""], lines=["[]"]))
    kept = {name: ARGUMENTS[name] for name in ARGUMENTS if name != "day"}
    assert decision.arguments == {**kept, "lines": []}


@pytest.mark.parametrize(
    ("edited", "field"),
    [
        ({"pieces": ["501"]}, "pieces"),
        ({"pieces": ["many"]}, "pieces"),
        ({"supplier": ["Screws"]}, "supplier"),
        ({"letter": [""]}, "letter"),
        ({"lines": ['[{"item": 5}]']}, "lines"),
        ({"lines": ["[{"]}, "lines"),
    ],
)
def test_edits_are_checked_by_the_schema_at_their_field(
    edited: dict[str, list[str]], field: str
) -> None:
    assert set(problems(ORDER, page("approve", **edited))) == {field}


@pytest.mark.parametrize("decision", ["reject", "answer"])
def test_arguments_are_not_checked_where_the_tool_is_not_called(decision: str) -> None:
    answer = page(decision, pieces=["many"], _note=["It is closed."])
    made = decide(ORDER, answer)
    assert (made.value, made.note, made.approved) == (decision, "It is closed.", False)
    assert made.arguments == ARGUMENTS


def test_answer_in_place_of_the_tool_needs_a_note() -> None:
    assert set(problems(ORDER, {"decision": "answer", "note": " "})) == {"_note"}
    assert set(problems(ORDER, page("answer"))) == {"_note"}


@pytest.mark.parametrize(
    "answer",
    [
        "yes",
        "[]",
        '"approve"',
        {"decision": "maybe"},
        {"decision": "approve", "tool": "delete"},
        {"decision": "approve", "arguments": []},
        {"decision": "approve", "note": 5},
        {"decision": "reject", "note": "x" * 10_001},
        {"decision": ["approve"]},
        {"decision": "approve", "arguments": {**ARGUMENTS, "letter": "\x00"}},
    ],
)
def test_other_answers_are_refused(answer: Any) -> None:
    with pytest.raises(Invalid):
        ORDER.check(JsonAnswer.of(answer))


def test_fixed_arguments_are_shown_and_cannot_be_edited() -> None:
    assert FIXED.details == {"name": "a"}
    assert decide(
        FIXED, PageAnswer(["approve"], fields={"name": ["b"], "_note": [""]})
    ).arguments == {"name": "a"}
    assert problems(FIXED, {"decision": "approve", "arguments": {"name": "b"}})
    with pytest.raises(Invalid, match="Choose one of the decisions"):
        FIXED.check(JsonAnswer({"decision": "answer", "note": "Done."}))


def test_digest_is_that_of_the_executed_arguments() -> None:
    one = decide(ORDER, {"decision": "approve", "arguments": ARGUMENTS})
    other = decide(ORDER, {"decision": "approve", "arguments": {**ARGUMENTS, "pieces": 3}})
    assert one.digest == decide(ORDER, "approve").digest
    reordered = dict(reversed(ARGUMENTS.items()))
    assert one.digest == decide(ORDER, {"decision": "approve", "arguments": reordered}).digest
    assert one.digest != other.digest
    assert len(one.digest) == 64


def test_schema_that_refers_elsewhere_is_not_followed() -> None:
    schema: dict[str, Any] = {"properties": {"name": {"$ref": "https://example.org/name.json"}}}
    with pytest.raises(ValidationError, match=r"cannot fetch https://example\.org/name\.json"):
        ToolCallPrompt(text="?", tool="t", input_schema=schema)


def test_what_is_no_schema_is_refused_when_asked() -> None:
    with pytest.raises(ValidationError, match="input_schema: The JSON schema cannot be used"):
        ToolCallPrompt(text="?", tool="t", input_schema={"type": "number of pieces"})


def test_outcome_names_decision_note_and_edits() -> None:
    stored = ORDER.check(page("approve", pieces=["7"], _note=["Fewer."]))
    assert ORDER.answer_text(stored) == "Approved; Fewer.; Pieces: 200 → 7"
    shown = {one.label: (one.before, one.after, one.is_changed) for one in ORDER.texts(stored)}
    assert shown["Pieces"] == ("200", "7", True)
    assert shown["Note"] == ("", "Fewer.", False)
    assert FIXED.answer_text(FIXED.check(JsonAnswer.of("reject"))) == "Rejected"


def test_argument_that_its_field_would_change_is_shown_as_json_and_stays() -> None:
    properties: dict[str, Any] = {
        "lines": {"type": "array", "items": {"type": "string"}},
        "at": {"type": "string", "format": "date-time"},
        "pieces": {"type": "integer"},
    }
    arguments: dict[str, Any] = {"lines": ["a\n", " b"], "at": "soon", "pieces": 2}
    prompt = ToolCallPrompt(
        text="?",
        tool="t",
        arguments=arguments,
        input_schema={"properties": properties},
        editable=True,
    )
    form_data = as_browser(prompt.make())
    assert form_data["at"] == ['"soon"']
    assert decide(prompt, sent(form_data, pieces=["3"])).arguments == {**arguments, "pieces": 3}


def test_seconds_of_an_argument_stay_where_nobody_edits_it() -> None:
    arguments: dict[str, Any] = {"at": "2026-11-26T10:30:15Z"}
    properties: dict[str, Any] = {"at": {"type": "string", "format": "date-time"}}
    prompt = ToolCallPrompt(
        text="?",
        tool="t",
        arguments=arguments,
        input_schema={"properties": properties},
        editable=True,
    )
    form_data = as_browser(prompt.make())
    assert form_data["at"] == ["2026-11-26T10:30:15"]
    decision = decide(prompt, sent(form_data))
    assert (decision.arguments, decision.changed) == (arguments, ())


def sent(form_data: dict[str, list[str]], **edits: list[str]) -> PageAnswer:
    """Return an approval with the data of a form."""
    return PageAnswer(values=["approve"], fields={**form_data, "_note": [""], **edits})


def as_browser(form: forms.BaseForm) -> dict[str, list[str]]:
    """Return what a browser sends of the form as it is shown."""
    form_data: dict[str, list[str]] = {}
    for bound in form:
        value = bound.value()
        if isinstance(bound.field.widget, forms.CheckboxInput):
            form_data |= {bound.name: ["on"]} if value else {}
        else:
            shown = bound.field.widget.format_value(value)
            form_data[bound.name] = shown if isinstance(shown, list) else [str(shown or "")]
    return form_data


NAMES = st.text("abcdefgh_", min_size=1, max_size=8) | st.sampled_from(
    ["decision", "note", "arguments", "_decision", "_note", "fields", "prompt"]
)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**40), 2**40) | st.text("ab \n\"'<é", max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=3),
    max_leaves=6,
)
SCHEMAS = st.sampled_from(
    [
        {},
        {"type": "string"},
        {"type": ["string", "null"]},
        {"type": "integer"},
        {"type": "boolean"},
        {"type": "array", "items": {"type": "string"}},
        {"type": "string", "format": "date-time"},
        {"anyOf": [{"type": "number"}, {"type": "null"}]},
        {"enum": ["a", 1, True]},
        {"type": "null"},
    ]
)


@given(arguments=st.dictionaries(NAMES, JSON, max_size=4), data=st.data())
def test_page_that_edits_nothing_approves_what_the_agent_wrote(
    arguments: dict[str, Any], data: st.DataObject
) -> None:
    """Whatever an agent writes, and whatever its tool's schema says."""
    properties: dict[str, Any] = {
        name: data.draw(SCHEMAS) for name in arguments if data.draw(st.booleans())
    }
    prompt = ToolCallPrompt(
        text="?",
        tool="t",
        arguments=arguments,
        input_schema={"properties": properties, "required": list(properties)},
        editable=True,
    )
    decision = decide(prompt, sent(as_browser(prompt.make())))
    assert decision.arguments == arguments
    assert arguments.keys() <= prompt.make().fields.keys() | prompt.details.keys()


def test_arguments_are_edited_whatever_they_are_named() -> None:
    arguments: dict[str, Any] = {"decision": "buy", "note": "a", "arguments": "b", "_note": "c"}
    prompt = ToolCallPrompt(text="?", tool="t", arguments=arguments, editable=True)
    edits = {"decision": ['"sell"'], "_note": ["Too many."]}
    decision = decide(prompt, sent(as_browser(prompt.make()), **edits))
    assert decision.arguments == {**arguments, "decision": "sell"}
    assert (decision.changed, decision.note) == (("decision",), "Too many.")
    assert prompt.details == {"_note": "c"}
