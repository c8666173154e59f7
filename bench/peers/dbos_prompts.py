"""The script `dbos_prompts.py DATABASE PEOPLE SECONDS`: a workflow with messages, in process."""

import asyncio
from collections.abc import Callable

from dbos import DBOS, DBOSConfig
from threads import PROMPTS, arguments, measure


@DBOS.workflow()
async def approve() -> str:
    """Publish a prompt and wait for its answer, ten times."""
    answers = []
    for number in range(1, PROMPTS + 1):
        await DBOS.set_event_async(f"prompt-{number}", number)
        answers.append(await DBOS.recv_async("answer"))
    return "|".join(answers)


async def thread(count_answer: Callable[[], None]) -> None:
    """Time each answer to the next prompt, and to the end."""
    handle = await DBOS.start_workflow_async(approve)
    await DBOS.get_event_async(handle.workflow_id, "prompt-1")
    for number in range(1, PROMPTS + 1):
        await DBOS.send_async(handle.workflow_id, "continue", "answer")
        if number < PROMPTS:
            await DBOS.get_event_async(handle.workflow_id, f"prompt-{number + 1}")
        elif await handle.get_result() != "|".join(["continue"] * PROMPTS):
            raise RuntimeError("answers are missing")
        count_answer()


def main() -> None:
    """Measure DBOS."""
    options = arguments()
    is_server = options.database.startswith("postgresql")
    url = options.database if is_server else f"sqlite:///{options.database}"
    DBOS(config=DBOSConfig(name="bench", system_database_url=url, log_level="ERROR"))
    DBOS.launch()
    try:
        asyncio.run(measure(options, thread))
    finally:
        DBOS.destroy()


if __name__ == "__main__":
    main()
