"""What a socket is told when it opens."""

import pytest

from sessions_app import database
from tests.support.hosting import make_user
from tests.wire.scene import LocalSocket, Scene

pytestmark = pytest.mark.django_db(transaction=True)


async def test_with_last_sequence_exactly_what_was_missed() -> None:
    async with Scene() as scene:
        await scene.write(*(f"{number} " for number in range(500)))
        for after in (0, 250, 499, 500):
            async with scene.socket(last_sequence=after) as socket:
                await socket.settled()
                assert socket.sequences() == list(range(after + 1, 501))


async def test_a_cursor_inside_a_folded_message_gets_the_rest_of_it() -> None:
    async with Scene() as scene:
        await scene.write("a", "bc", "d")
        await scene.end()
        async with scene.socket(last_sequence=1) as socket:
            await socket.until_sequence(4)
            assert socket.text() == "bcd"
            assert socket.sequences() == [3, 4]


async def test_pending_prompts_come_first_also_those_before_last_sequence() -> None:
    async with Scene() as scene:
        first = await scene.ask("one?")
        await scene.write("text")
        second = await scene.ask("two?")
        async with scene.socket(last_sequence=2) as socket:
            await socket.until_sequence(3)
            assert [frame["id"] for frame in socket.of_type("system_interaction_message")] == [
                first,
                second,
            ]


async def test_a_settled_prompt_is_not_asked_again() -> None:
    async with Scene() as scene:
        await scene.settle(await scene.ask())
        async with scene.socket(last_sequence=0) as socket:
            await socket.until_sequence(2)
            assert not socket.of_type("system_interaction_message")
            assert len(socket.of_type("interaction_update_message")) == 1


@pytest.mark.parametrize("wrong", [7, -1, 10**30, "x", ""])
async def test_a_last_sequence_that_cannot_be_is_said_and_never_a_silent_hole(
    wrong: object,
) -> None:
    async with Scene() as scene:
        await scene.write("so ", "far")
        prompt = await scene.ask()
        async with scene.socket(last_sequence=wrong) as socket:
            error = await socket.until("error_message")
            assert error["content"]["code"] == "invalid_message"
            assert (await socket.until("system_interaction_message"))["id"] == prompt
            await socket.settled()
            await scene.write(" on")
            await socket.until_sequence(4)


async def test_a_first_connection_gets_the_message_that_is_being_written() -> None:
    async with Scene() as scene:
        await scene.write("before ")
        await scene.append(
            "step", {"step_id": "s", "name": "S", "state": "complete", "payload": ""}
        )
        await scene.write("so ", "far ")
        async with scene.socket() as socket:
            await socket.settled()
            assert socket.text() == "so far "
            await scene.write("on")
            await socket.until_sequence(5)
            assert socket.text() == "so far on"


async def test_a_plain_client_that_comes_back_misses_nothing_and_gets_nothing_twice() -> None:
    async with Scene() as scene:
        async with scene.socket() as socket:
            await socket.settled()
            await scene.write("a")
            await socket.until_sequence(1)
        await scene.write("b")
        prompt = await scene.ask()
        async with scene.socket() as socket:
            await socket.until("system_interaction_message")
            assert socket.sequences() == [2, 3]
        async with scene.socket() as socket:
            await socket.settled()
            assert [frame["id"] for frame in socket.of_type("system_interaction_message")] == [
                prompt
            ]
            assert socket.text() == ""


async def test_a_second_tab_is_a_first_connection() -> None:
    async with Scene() as scene, scene.socket() as first:
        await first.settled()
        await scene.write("so far")
        async with scene.socket() as second:
            await second.settled()
            assert second.text() == "so far"


async def test_the_kept_cursor_is_the_users_own() -> None:
    async with Scene() as scene:
        async with scene.socket() as socket:
            await socket.settled()
        await scene.write("secret")
        other = await database.read(make_user, "ben")
        async with LocalSocket(other, conversation_id="c") as socket:
            await socket.settled()
            assert socket.sequences() == []


@pytest.mark.parametrize("schema_type", ["chat", "generate"])
async def test_one_result_comes_whole_at_the_end(schema_type: str) -> None:
    async with Scene(schema_type) as scene, scene.socket() as socket:
        await socket.settled()
        await scene.write("one ", "two ", "three ")
        await scene.append("restart", {"from_sequence": 2})
        await scene.write("four")
        await scene.end()
        await socket.until_sequence(6)
        contents = [frame["content"] for frame in socket.of_type("system_response_message")]
        assert [next(iter(content.values())) for content in contents] == ["one four", ""]
