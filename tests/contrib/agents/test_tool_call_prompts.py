"""Prompts about a tool call: what they take, and what a workflow gets."""

import json
from datetime import datetime
from hashlib import sha256
from typing import Any

import pytest
from django.utils.translation import override
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from sessions_app.errors import Invalid
from sessions_app.prompts import Answer, JsonAnswer, PageAnswer, dump_prompt, load_prompt
from sessions_app.prompts.forms.fields import describe_fields
from sessions_app.prompts.tool_call import digest_of
from sessions_app.workflows import ToolCallPrompt, ToolCallResponse
from tests.support.plain_form import as_browser
from tests.support.strategies import STORABLE

FORMATS = ("date", "time", "date-time", "duration", "uuid", "email")
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


def editable(arguments: dict[str, Any], properties: Any = None, **schema: Any) -> ToolCallPrompt:
    """Return a prompt whose arguments can be edited."""
    if properties is not None:
        schema["properties"] = properties
    return ToolCallPrompt(
        text="?", tool="t", arguments=arguments, input_schema=schema, editable=True
    )


def unedited(prompt: ToolCallPrompt) -> dict[str, Any]:
    """Return the arguments that are shown and have no field."""
    return {
        row.name: prompt.arguments[row.name]
        for row in prompt.arguments_shown
        if not row.is_editable
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


EDITED = {"supplier": "Bolts", "pieces": 3, "letter": ""}
OPTIONAL_DAY = ORDER.model_copy(update={"input_schema": {**ORDER_SCHEMA, "required": ["lines"]}})
WITHOUT_DAY = {name: ARGUMENTS[name] for name in ARGUMENTS if name != "day"}


@pytest.mark.parametrize(
    ("prompt", "answer", "arguments", "changed"),
    [
        (ORDER, "approve", ARGUMENTS, ""),
        (ORDER, ["approve"], ARGUMENTS, ""),
        (ORDER, {"decision": "approve"}, ARGUMENTS, ""),
        (ORDER, page("approve"), ARGUMENTS, ""),
        (
            ORDER,
            page("approve", pieces=["150"], day=["2026-12-24"], express=["on"], lines=["[]"]),
            {**ARGUMENTS, "pieces": 150, "day": "2026-12-24", "express": True, "lines": []},
            "pieces day express lines",
        ),
        (
            ORDER,
            {"decision": "approve", "arguments": EDITED},
            EDITED,
            "supplier pieces day letter lines",
        ),
        (
            OPTIONAL_DAY,
            page("approve", day=[""], lines=["[]"]),
            {**WITHOUT_DAY, "lines": []},
            "day lines",
        ),
        (FIXED, PageAnswer(["approve"], fields={"name": ["b"], "_note": [""]}), {"name": "a"}, ""),
    ],
    ids=["text", "list", "JSON", "page", "edited page", "edited JSON", "emptied", "fixed"],
)
def test_approved_arguments_have_the_types_of_the_schema(
    prompt: ToolCallPrompt, answer: Any, arguments: dict[str, Any], changed: str
) -> None:
    decision = decide(prompt, answer)
    assert decision.approved
    assert decision.arguments == arguments
    assert set(decision.changed) == set(changed.split())


def test_an_argument_that_is_sent_back_is_the_proposed_one_to_the_letter() -> None:
    sent = {**ARGUMENTS, "pieces": 200.0, "letter": "Dear Bolts."}
    decision = decide(ORDER, {"decision": "approve", "arguments": sent})
    assert (str(decision.arguments["pieces"]), decision.changed) == ("200", ("letter",))


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
    assert unedited(FIXED) == {"name": "a"}
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
    text = '{"a":[1,{"c":2}],"b":"ü"}'  # whoever keeps a digest can make it again
    assert digest_of({"b": "ü", "a": [1, {"c": 2}]}) == sha256(text.encode()).hexdigest()


def test_refusal_of_a_program_names_each_problem_and_shows_an_example() -> None:
    with pytest.raises(Invalid) as refused:
        FIXED.check(JsonAnswer.of({"decision": "approve", "note": 3, "extra": 1}))
    assert str(refused.value) == (
        "This asks about a tool call: send approve, reject as JSON, such as "
        '{"decision": "reject", "note": ""}. note: Input should be a valid string.; '
        "extra: Extra inputs are not permitted."
    )
    with pytest.raises(Invalid, match=r'"note": ""\}\. Unable to extract tag'):
        FIXED.check(JsonAnswer.of({}))


def test_proposals_say_their_types() -> None:
    assert ORDER.make().types == {
        "supplier": "text",
        "pieces": "number",
        "day": "text",
        "letter": "text",
        "express": "not given",
        "lines": "JSON",
    }


def test_form_of_one_card_among_several_reads_its_own_fields() -> None:
    form = ORDER.make({**FIELDS, "pieces": ["9"]}, prefix="second")
    assert [*form.fields][-1] == "_note"
    assert form.is_valid()
    assert form.arguments == {**ARGUMENTS, "pieces": 9}


def test_plain_client_has_a_choice_and_a_link_to_more() -> None:
    for approvable in (True, False):
        prompt = FIXED.model_copy(update={"approvable": approvable})
        [plain] = ToolCallPrompt.plain(prompt.model_dump(mode="json"), lambda: "https://a.example")
        decisions = ["approve", "reject"] if approvable else ["reject"]
        assert plain["input_type"] == "radio"
        assert plain["options"] == [
            {"id": one, "label": one.capitalize(), "value": one} for one in decisions
        ]
        text = 'Delete it?\n\n- name: "a"\nGive reasons here: https://a.example'
        assert plain["text"] == text


def test_schema_that_refers_elsewhere_is_not_followed() -> None:
    schema: dict[str, Any] = {"properties": {"name": {"$ref": "https://example.org/name.json"}}}
    with pytest.raises(ValidationError, match=r"cannot fetch https://example\.org/name\.json"):
        ToolCallPrompt(text="?", tool="t", input_schema=schema)


def test_what_is_no_schema_is_refused_when_asked() -> None:
    with pytest.raises(ValidationError, match="input_schema: The JSON schema cannot be used"):
        ToolCallPrompt(text="?", tool="t", input_schema={"type": "number of pieces"})


def test_an_agent_asks_in_the_language_of_the_reader() -> None:
    asked = FIXED.model_copy(update={"text": "May I do this: Write note milk?\n\nIt is new."})
    content = asked.model_dump(mode="json")
    assert asked.question == ToolCallPrompt.title(content) == "Allow “Write note milk”?"
    with override("de"):
        assert asked.question == ToolCallPrompt.title(content) == "„Write note milk“ erlauben?"
        assert asked.shown_text == "„Write note milk“ erlauben?\n\nIt is new."
    assert asked.more == "It is new."
    assert FIXED.question == "Delete it?"  # as its author wrote it


def test_outcome_names_decision_note_and_edits() -> None:
    stored = ORDER.check(page("approve", pieces=["7"], _note=["Fewer."]))
    assert ORDER.answer_text(stored) == "Approved; Fewer.; pieces: 200 → 7"
    shown = {one.label: (one.before, one.after, one.is_changed) for one in ORDER.texts(stored)}
    assert shown["pieces"] == ("200", "7", True)
    assert shown["Note"] == ("", "Fewer.", False)
    stored = ORDER.check(page("approve", day=[""], express=["on"]))
    edits = 'day: "2026-12-01" → not given; express: not given → true'
    assert ORDER.answer_text(stored) == f"Approved; {edits}"
    stored = ORDER.check(JsonAnswer.of({"decision": "answer", "note": "Done."}))
    assert ORDER.answer_text(stored) == "Answered in place of the tool; Done."
    assert FIXED.answer_text(FIXED.check(JsonAnswer.of("reject"))) == "Rejected"


def test_argument_that_its_field_would_change_is_shown_as_json_and_stays() -> None:
    properties: dict[str, Any] = {
        "lines": {"type": "array", "items": {"type": "string"}},
        "at": {"type": "string", "format": "date-time"},
        "pieces": {"type": "integer"},
    }
    arguments: dict[str, Any] = {"lines": ["a\n", " b"], "at": "soon", "pieces": 2}
    prompt = editable(arguments, properties)
    form_data = as_browser(prompt.make())
    assert form_data["at"] == ['"soon"']
    assert decide(prompt, sent(form_data, pieces=["3"])).arguments == {**arguments, "pieces": 3}


COMMAND = {"type": "string", "maxLength": 200}
TIME = "2026-11-26T10:30:15"


@pytest.mark.parametrize(
    ("schema", "value", "shown"),
    [
        *(
            (schema, text, None)
            for text in ("ls\nrm -r /", "\n\nls ", "ls\r\nrm", "a\u2028b", "a  b", "\ta\x0b")
            for schema in (COMMAND, {"type": "string"}, {})
        ),
        ({"type": ["string", "null"], "default": "everybody"}, None, ""),
        ({"type": "string", "format": "date-time"}, f"{TIME}Z", TIME),
        ({"enum": [1, True, "a"]}, True, None),
    ],
)
def test_value_comes_back_to_the_letter_from_a_field(
    schema: dict[str, Any], value: Any, shown: str | None
) -> None:
    prompt = editable({"x": value}, {"x": schema})
    form_data = as_browser(prompt.make())
    assert shown in (None, *form_data["x"])
    decision = decide(prompt, sent(form_data))
    assert (decision.arguments, decision.changed) == ({"x": value}, ())


def test_choices_show_the_types_of_their_values() -> None:
    prompt = editable({"level": True}, {"level": {"enum": [1, True, "a"]}})
    [_note, level] = describe_fields(type(prompt.make()))
    assert [label for _value, label in level.choices] == ["1", "true", '"a"']


def sent(form_data: dict[str, list[str]], **edits: list[str]) -> PageAnswer:
    """Return an approval with the data of a form."""
    return PageAnswer(values=["approve"], fields={**form_data, "_note": [""], **edits})


NAMES = st.text("abcdefgh_ \u200bA\n", max_size=8) | st.sampled_from(
    ["decision", "note", "arguments", "_decision", "_note", "fields", "prompt", "__proto__", "data"]
)
# With all line ends and spaces of Unicode, and whatever else can be stored.
TEXTS = st.text(
    st.sampled_from("ab \t\n\r\x0b\x85\u2028\u202e\u3164\"'<é") | STORABLE, max_size=12
) | (
    st.sampled_from(
        ["true", "null", "5", "5.0", "0010", "[]", "yes", "on", "x" * 90, "\n\na\r\nb "]
    )
)
TIMES = st.datetimes().map(datetime.isoformat) | st.dates().map(str) | st.timedeltas().map(str)
JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**70), 2**70)
    | st.floats(allow_nan=False, allow_infinity=False)
    | TEXTS
    | TIMES,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=3),
    max_leaves=6,
)
SCHEMAS = st.sampled_from(
    [
        {},
        {"type": "string"},
        {"type": "string", "maxLength": 90},
        {"type": ["string", "null"], "default": "a"},
        {"type": "integer"},
        {"type": "number"},
        {"type": "boolean"},
        {"type": ["boolean", "null"]},
        {"type": "array", "items": {"type": "string"}},
        {"type": "array", "items": {"enum": ["a", "b", "true"]}},
        *({"type": "string", "format": name} for name in FORMATS),
        {"anyOf": [{"type": "number"}, {"type": "null"}], "default": 5},
        {"anyOf": [{"type": "number"}, {"type": "string"}]},
        {"enum": ["a", 1, True, "5", "true", ""]},
        {"anyOf": [{"enum": ["a", "b"]}, {"type": "null"}], "default": "a"},
        {"type": "null"},
    ]
)


@pytest.mark.slow
@given(arguments=st.dictionaries(NAMES, JSON, max_size=4), data=st.data())
def test_page_that_edits_nothing_approves_what_the_agent_wrote(
    arguments: dict[str, Any], data: st.DataObject
) -> None:
    """Whatever an agent writes, and whatever its tool's schema says."""
    properties: dict[str, Any] = {
        name: data.draw(SCHEMAS) for name in arguments if data.draw(st.booleans())
    }
    prompt = editable(arguments, properties, required=list(properties))
    decision = decide(prompt, sent(as_browser(prompt.make())))
    assert json.dumps(decision.arguments) == json.dumps(arguments)
    assert decision.changed == ()
    shown_names = prompt.make().fields.keys() | unedited(prompt).keys()
    assert arguments.keys() <= shown_names


def test_arguments_are_edited_whatever_they_are_named() -> None:
    arguments: dict[str, Any] = {"decision": "buy", "note": "a", "arguments": "b", "_note": "c"}
    prompt = editable(arguments)
    edits = {"decision": ['"sell"'], "_note": ["Too many."]}
    decision = decide(prompt, sent(as_browser(prompt.make()), **edits))
    assert decision.arguments == {**arguments, "decision": "sell"}
    assert (decision.changed, decision.note) == (("decision",), "Too many.")
    assert unedited(prompt) == {"_note": "c"}


@pytest.mark.parametrize("editable", [True, False])
def test_prompt_of_an_earlier_version_shows_its_arguments_once(editable: bool) -> None:
    stored = FIXED.model_dump(mode="json") | {"editable": editable, "arguments": {"_note": "a"}}
    stored["details"] = {"_note": "a", "For": "Workshop 2"}
    prompt = load_prompt(stored)
    assert isinstance(prompt, ToolCallPrompt)
    assert prompt.details == {"For": "Workshop 2"}
    assert unedited(prompt) == {"_note": "a"}
    [plain] = ToolCallPrompt.plain(stored, str)
    assert plain["text"].count("_note") == 1


def test_arguments_have_their_exact_names_as_labels() -> None:
    arguments: dict[str, Any] = {"amount": 1, "Amount": 2, "amount ": 3, "amo\u200bunt": 4}
    prompt = editable(arguments)
    labels = [bound.label for bound in prompt.make() if bound.name in arguments]
    assert labels == ["amount", "Amount", '"amount "', '"amo\\u200bunt"']
    stored = prompt.check(sent({name: ["5"] for name in arguments}))
    assert [one.label for one in prompt.texts(stored)] == labels


def test_arguments_whose_names_a_browser_changes_are_shown_and_not_edited() -> None:
    arguments: dict[str, Any] = {"a\nb": 1, "_note": 2, "c": 3}
    prompt = editable(arguments)
    assert list(prompt.make().types) == ["c"]
    assert unedited(prompt) == {"a\nb": 1, "_note": 2}
    assert [row.name for row in prompt.arguments_shown] == list(arguments)


def test_plain_client_reads_arguments_with_their_types() -> None:
    arguments: dict[str, Any] = {
        "sure": "yes",
        "force": True,
        "text": "5",
        "number": 5,
        "nothing": None,
        "pay": "1\u202e0",
        "change": {"before": "a", "after": "b"},
    }
    prompt = ToolCallPrompt(text="?", tool="t", arguments=arguments)
    [plain] = ToolCallPrompt.plain(prompt.model_dump(mode="json"), str)
    assert plain["text"].splitlines()[2:-1] == [
        '- sure: "yes"',
        "- force: true",
        '- text: "5"',
        "- number: 5",
        "- nothing: null",
        '- pay: "1\\u202e0"',
        '- change: {"before": "a", "after": "b"}',
    ]
