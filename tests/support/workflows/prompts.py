"""The prompts that tests select by a key."""

from sessions_app.prompts import AnyPrompt
from sessions_app.workflows import (
    BinaryPrompt,
    CheckboxPrompt,
    DropdownPrompt,
    LinkPrompt,
    NotificationPrompt,
    OAuthPrompt,
    Option,
    RadioPrompt,
    TextPrompt,
)
from tests.support.workflows.forms import ARRIVAL, LEAVE, ORDER, RECEIPT, TOOL_CALL

COLOURS = [
    Option(id="1", label="Red", value="red", description="as a rose"),
    Option(id="2", label="Blue", value="blue"),
]
PROMPTS: dict[str, AnyPrompt] = {
    prompt.input_type: prompt
    for prompt in (
        TextPrompt(text="Name?", placeholder="a name", timeout=600),
        NotificationPrompt(text="Look."),
        BinaryPrompt(text="Which?", options=COLOURS),
        RadioPrompt(text="Which?", options=COLOURS),
        DropdownPrompt(text="Which?", options=COLOURS),
        CheckboxPrompt(text="Which ones?", options=COLOURS),
        OAuthPrompt(text="https://login.example/authorize?state=s1"),
        LinkPrompt(text="Pay there.", url="https://bank.example/pay?for=books"),
    )
}
PROMPTS["values"] = RadioPrompt(text="Which?", options=[True, 3, 0.5])
PROMPTS |= {"form": LEAVE, "proposal": ORDER, "receipt": RECEIPT, "tool_call": TOOL_CALL}
PROMPTS["arrival"] = ARRIVAL
PROMPTS["details"] = BinaryPrompt(
    text="Order the parts?",
    options=COLOURS,
    details={
        "For": "Workshop 2",
        "Told": ["ann@example.org", "bob@example.org"],
        "Command": {"code": "order --supplier=Nuts --express \\\n  bolts.csv"},
        "Address": {"Street": "Long Street 5", "Town": "Ulm", "Gate": None},
        "Lines": [
            {"item": "Bolt", "pieces": 200, "price": 3.2},
            {"item": "Nut", "pieces": 90, "price": 2},
        ],
        "Terms": {
            "before": "Pay in 30 days.\nNo returns.\nPacked by hand.",
            "after": "Pay in 14 days.\nNo returns.\nPacked by hand.\nSent by ship.",
        },
        "Raw": [[1, 2], [3]],
    },
)
DESTRUCTIVE = BinaryPrompt(
    text="Delete the customer list?",
    details={"Table": "customers", "Rows": 48210, "Backup": "none"},
    options=[
        Option(
            value="delete",
            label="Delete",
            description="It cannot be undone.",
            destructive=True,
            needs_note=True,
        ),
        Option(value="keep", label="Keep", description="The list stays as it is."),
    ],
    timeout=50,
    default="keep",
)
TOGETHER = ("text", "binary_choice", "dropdown", "checkbox", "form")
