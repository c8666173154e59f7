"""Configurations of the NeMo Agent Toolkit, hosted as they are."""

import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from asgiref.sync import sync_to_async
from django.utils import timezone
from nat.data_models.authentication import AuthenticatedContext
from pytest_django import Settings

from chat_app.contrib.oauth import grants
from chat_app.contrib.oauth.models import OAuthGrant
from chat_app.contrib.oauth.tokens import Tokens
from natproject.settings.env import ROOT
from sessions_app.contrib.agents.nat import nat_workflow
from sessions_app.contrib.testing.hosted_run import Answer
from sessions_app.contrib.testing.hosting import NewHosting
from sessions_app.errors import Invalid
from sessions_app.models import Run
from sessions_app.workflows import Context, OAuthPrompt, registry
from sessions_app.workflows.config import ConfigError, RuntimeConfig
from tests.nat.components import Done
from tests.support.hitl import set_hitl
from tests.support.hosting import SentTo
from tests.support.refusals import NO

# A package of LangChain's that its agents import says so.
pytestmark = pytest.mark.filterwarnings("ignore:.*langchain-community:DeprecationWarning")
HERE = Path(__file__).parent
# To the prompts of prompts.yml, but for the last.
ANSWERS: list[Answer] = ["Eve", "ok", True, "Word", "sms", "2", ["Nut"]]


@pytest.fixture(autouse=True)
def _nothing_done() -> None:
    Done.effects = []
    Done.fails = False


async def test_what_is_recorded_is_not_called_again(sent_to: SentTo) -> None:
    nat_workflow(HERE / "refund.yml", name="t_refund", title="Refund")
    async with sent_to("t_refund", "Pay it back") as (hosting, run):
        assert [one.text for one in await run.prompts()] == ["Pay order 17 back?"]
        await hosting.crash()
        await run.answer("yes")
        assert [one.text for one in await run.prompts()] == ["Who wants it?"]
        await hosting.crash()
        await run.answer("Eve")
        assert await run.result() == "Order 17 is paid back. With pleasure. Eve"
        assert await run.shown() == ["Shop look 17", "Confirm", "Shop pay 17", "Model"]
        [paid] = [one.call for one in await run.journal() if "pay" in one.call.name]
    assert json.loads(paid.arguments)[0] == 17
    assert Done.effects == ["look 17", "pay 17"]


@pytest.mark.parametrize(
    ("fails", "paid"),
    [
        (False, "Order 4 is paid back."),
        (True, "Step shop__pay failed: ValueError: The bank is closed."),
    ],
)
async def test_objects_streams_failures_and_calls_at_once_are_recorded(
    sent_to: SentTo, *, fails: bool, paid: str
) -> None:
    Done.fails = fails
    nat_workflow(HERE / "stream.yml", name="t_stream")
    async with sent_to("t_stream", "Go") as (hosting, run):
        await run.prompts()
        await hosting.crash()
        await run.answer("yes")
        output = f"1 ['Bolt'] Bolt\ufffd, nut. Order 3 costs 40 €. {paid}"
        assert await run.result() == output
    assert Done.effects == ["receipt 1", "read 2", "look 3", "pay 4"]


async def test_agents_of_builders_that_functions_make_are_recorded(
    sent_to: SentTo,
) -> None:
    nat_workflow(HERE / "retry.yml", name="t_retry", title="Retry")
    async with sent_to("t_retry", "Pay it back") as (hosting, run):
        for _ in range(2):
            assert [one.text for one in await run.prompts()] == ["It needs more calls. Go on?"]
            await hosting.crash()
            await run.answer("Yes, please")
        assert await run.result() == "Order 2 is paid back."
    # Each of the three attempts begins anew, and gets one call further.
    assert Counter(Done.effects) == {"model": 9, "look 1": 3, "look 2": 3, "pay 2": 2}


@pytest.mark.parametrize(
    ("config", "refusal"),
    [
        ("retry.yml", "Middleware `hitl_recorder` not found for function group `shop`"),
        ("proxy.yml", "The function give was called without a record, .* a RecordingBuilder"),
    ],
)
async def test_function_of_a_plain_builder_is_refused(
    sent_to: SentTo, tmp_path: Path, config: str, refusal: str
) -> None:
    plain = "_type: t_retry\n  plain_builder: true"
    text = (HERE / "retry.yml").read_text().replace("_type: t_retry", plain)
    (tmp_path / "retry.yml").write_text(text)
    (tmp_path / "proxy.yml").write_text("workflow: {_type: t_proxy}")
    nat_workflow(tmp_path / config, name="t_plain")
    async with sent_to("t_plain", "Go") as (_, run):
        if config == "retry.yml":
            await run.answer("Yes, please")
        with pytest.raises(AssertionError, match=refusal):
            await run.result()


async def test_a_function_may_refuse_its_input(sent_to: SentTo, tmp_path: Path) -> None:
    text = (HERE / "give.yml").read_text().replace("t_take", "t_wrong_input")
    (tmp_path / "wrong_input.yml").write_text(text)
    nat_workflow(tmp_path / "wrong_input.yml", name="t_wrong_input")
    async with sent_to("t_wrong_input", "Go", replay_everywhere=True) as (_, run):
        await run.answer("Go on")
        assert await run.result() == "Go on"


async def test_each_prompt_becomes_one_of_ours(sent_to: SentTo) -> None:
    nat_workflow(HERE / "prompts.yml", name="t_prompts")
    async with sent_to("t_prompts", "Go", replay_everywhere=True) as (_, run):
        for answer in [*ANSWERS, "No"]:
            await run.answer(answer)
        answers = json.loads(await run.result())
    kinds = "text notification binary_choice binary_choice radio dropdown checkbox text"
    assert [one["type"] for one in answers] == kinds.split()
    options = [one["selected_option"] for one in answers if "selected_option" in one]
    fields = zip(options, ("value", "value", "id", "value", "label"), strict=True)
    assert [option[field] for option, field in fields] == [True, "1", "sms", "bonn", "Nut"]


OPTIONS = "options: [{label: Pay, value: pay}, {label: Wait, value: wait}]"
YES_OR_NO = "options: [{label: Pay, value: true}, {label: Wait, value: false}]"
PROMPTS: dict[str, tuple[str, Answer | None]] = {
    "yes or no": (f"{{input_type: binary_choice, text: Pay now, {YES_OR_NO}}}", True),
    "choice": (f"{{input_type: radio, text: Pay now, {OPTIONS}}}", "pay"),
    "several": (f"{{input_type: checkbox, text: Pay now, {OPTIONS}}}", ["pay"]),
    "text": ("{input_type: text, text: Type PAY}", "PAY"),
    "undeclared": ("{input_type: notification, text: I pay.}", None),
}


@pytest.mark.parametrize("kind", PROMPTS)
async def test_answer_that_means_no_does_not_pay(
    host_workflow: NewHosting, tmp_path: Path, kind: str
) -> None:
    prompt, yes = PROMPTS[kind]
    (tmp_path / "pay.yml").write_text(f"workflow: {{_type: t_pay_if, prompt: {prompt}}}")
    nat_workflow(tmp_path / "pay.yml", name="t_pay_if")
    async with host_workflow("t_pay_if") as hosting:
        for number, answer in enumerate(NO):
            run = await hosting.send("Go", conversation=f"c{number}")
            try:
                await run.answer(answer)
            except Invalid:
                assert await run.status() == "waiting", answer
            else:
                assert await run.result() == "The end.", answer
        assert Done.effects == []
        if yes is not None:
            run = await hosting.send("Go", conversation="yes")
            await run.answer(yes)
            await run.result()
    assert Done.effects == ["pay"] * (yes is not None)


async def test_call_stands_in_the_next_history_after_a_failure(
    host_workflow: NewHosting, tmp_path: Path
) -> None:
    shop = "function_groups: {shop: {_type: t_shop, include: [look, pay]}}"
    (tmp_path / "chat.yml").write_text(f"{shop}\nworkflow: {{_type: t_chat}}")
    nat_workflow(tmp_path / "chat.yml", name="t_chat")
    async with host_workflow("t_chat") as hosting:
        run = await hosting.send("Pay it back")
        await hosting.crash()
        await run.answer("yes")
        assert await run.status() == "failed"
        told = await hosting.converse("Go on")
    assert Done.effects == ["pay 17"]
    calls = "[Calls that were made:\nshop__pay(17): Order 17 is paid back.]"
    assert told == f"user: Pay it back\nassistant: {calls}\nuser: Go on"


async def test_nobody_answers_in_time(sent_to: SentTo) -> None:
    nat_workflow(HERE / "prompts.yml", name="t_prompts")
    async with sent_to("t_prompts", "Go") as (hosting, run):
        for answer in ANSWERS:
            await run.answer(answer)
        await run.prompts()
        await hosting.advance(seconds=61)
        with pytest.raises(AssertionError, match="Too late"):
            await run.result()


async def test_each_user_has_a_builder(host_workflow: NewHosting) -> None:
    nat_workflow(HERE / "count.yml", name="t_count")
    async with host_workflow("t_count") as hosting:
        for number in range(2):
            run = await hosting.send("Go", conversation=f"c{number}")
            await run.answer("yes")
            row = await Run.objects.alatest("created_at")
            assert await run.result() == f"{hosting.person.id} yes {row.pk}"
        user = str(hosting.person.id)
    assert Done.effects == [f"built for {user}"]


async def test_question_that_is_too_long_is_cut(sent_to: SentTo) -> None:
    nat_workflow(HERE / "count.yml", name="t_count")
    async with sent_to("t_count", "a" * 30_000) as (_, run):
        [prompt] = await run.prompts()
        assert prompt.text.endswith("aa\n… and 10,101 characters more, which are left out.")


async def test_sign_in_is_a_consent_and_its_token_is_not_recorded(
    sent_to: SentTo,
) -> None:
    async def authenticate(context: Context, provider: Any, flow: Any) -> AuthenticatedContext:
        consent = await context.ask(OAuthPrompt(text=f"{provider.authorization_url}?scope=orders"))
        assert consent.granted
        return AuthenticatedContext(headers={"Authorization": "Bearer t0ken"})

    nat_workflow(HERE / "orders.yml", name="t_orders", authenticate=authenticate)
    async with sent_to("t_orders", "Go") as (hosting, run):
        [consent] = await run.prompts()
        assert isinstance(consent, OAuthPrompt)
        await hosting.crash()
        await run.answer("done")
        assert [one.text for one in await run.prompts()] == ["Go on?"]
        await hosting.crash()
        await run.answer("yes")
        # The toolkit has the token, and replay goes on without the consent.
        assert [one.text for one in await run.prompts()] == ["Go on?"]
        await run.answer("yes")
        assert await run.result() == "yes"
        assert "t0ken" not in str(await run.journal())
    assert set(Done.effects) == {"t0ken"}


async def test_sign_in_is_that_of_this_site(
    host_workflow: NewHosting, settings: Settings, transactional_db: None
) -> None:
    address = {"authorize_url": "https://login.example/", "token_url": "https://login.example/"}
    provider = {"title": "Login", "client_id": "chat", "scopes": ["all"], **address}
    set_hitl(settings, PUBLIC_URL="https://chat.example", OAUTH_PROVIDERS={"login": provider})
    authenticate = "chat_app.contrib.oauth.nat.authenticate"
    async with host_workflow(
        "orders", nat=HERE / "orders.yml", authenticate=authenticate
    ) as hosting:
        tokens, user = Tokens(access="t0ken"), hosting.person.id
        await sync_to_async(grants.store)(user, "login", tokens, ["orders"], timezone.now())
        run = await hosting.send("Go")
        assert [one.text for one in await run.prompts()] == ["Go on?"]
        await OAuthGrant.objects.all().adelete()  # as if the person revoked it
        await run.answer("yes")
        [consent] = await run.prompts()
        assert isinstance(consent, OAuthPrompt)
        assert consent.text.startswith("https://chat.example/oauth/")
        assert "t0ken" not in str(await run.journal())
    assert set(Done.effects) == {"t0ken"}


async def test_configuration_of_the_page_asks(host_workflow: NewHosting, tmp_path: Path) -> None:
    page = (ROOT / "docs" / "nat.md").read_text()
    exec(page.split("```py\n")[1].split("```")[0], {"__name__": __name__})  # noqa: S102 - it is ours
    config = tmp_path / "shop.yml"
    config.write_text(page.split("```yaml\n")[1].split("```")[0])
    async with host_workflow("shop", nat=config, replay_everywhere=True) as hosting:
        assert await hosting.converse("17", {"Pay order 17 back?": True}) == "It is paid back."
        assert await hosting.converse("17", {"Pay order 17 back?": False}) == "Nothing is paid."


@pytest.mark.parametrize(
    ("text", "authenticate", "expected_error"),
    [
        ("", "", "4: workflows.refunds.nat: .*there is no such file"),
        ("workflow: {_type: nothing}", "", "4: workflows.refunds.nat: .*cannot load it"),
        ("", "desk.nothing", "5: workflows.refunds.authenticate: .*No module named 'desk'"),
    ],
)
def test_mistake_ends_the_start(
    tmp_path: Path, text: str, authenticate: str, expected_error: str
) -> None:
    if text:
        (tmp_path / "config.yml").write_text(text)
    (tmp_path / "workflows.yaml").write_text(
        "default: refunds\nworkflows:\n  refunds:\n    nat: config.yml\n"
        f"    authenticate: {authenticate}\n"
    )
    config = RuntimeConfig.load(tmp_path / "workflows.yaml")
    with pytest.raises(ConfigError, match=f"line {expected_error}"):
        registry.offer(config)
