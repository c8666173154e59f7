import pytest, asyncio
from tests.test_examples_docs import load_named, PARTY, _declared_for_this_test_only
from tests.support.conversing import answer_to
from tests.support.hosting import Hosting, until
from sessions_app import database
from sessions_app.models import *
pytestmark = pytest.mark.django_db(transaction=True)

@pytest.mark.parametrize("n", range(12))
async def test_hang(n):
    load_named("party")
    async with Hosting("party", park_after=0) as hosting:
        D = hosting.local
        async def dog():
            await asyncio.sleep(1.5)
            print("DOG", D._stopping, D._tasks, {k: (h._runs, h._woken, h._look_again_at, h._fenced, h._stopping) for k,h in D._hosts.items()})
            for t in asyncio.all_tasks(): t.print_stack(file=__import__("sys").stdout)
            T[0] = True
        T = [False]
        import time; t0=time.monotonic()
        d = asyncio.create_task(dog())
        run = await hosting.submit("go")
        def news():
            return Interaction.objects.filter(run=run, status="pending").order_by("position").first() or Run.objects.filter(pk=run, status__in=[*Run.FINISHED, "suspended"]).first()
        while True:
            try:
                found = await until(news, 3)
            except AssertionError:
                r = await database.read(lambda: Run.objects.get(pk=run))
                print("RUN", r.status, r.crashes, r.generation, r.error)
                for e in await hosting.events(): print(e.sequence, e.type, str(e.payload)[:150])
                for j in await hosting.journal(run): print(j, j.finished_at, j.result)
                print("HOSTS", {k: (h._runs, h._woken, h._look_again_at, h._fenced) for k,h in hosting.local._hosts.items()})
                for t in asyncio.all_tasks(): t.print_stack()
                raise
            if not isinstance(found, Interaction): break
            g = answer_to(found.prompt["text"], PARTY)
            await hosting.answer(None if isinstance(g, list) else g, found, values=g if isinstance(g, list) else None)

    if time.monotonic() - t0 > 3: print("SLOW", n); assert False
