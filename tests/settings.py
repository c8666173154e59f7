"""Settings of the tests: the project's own, in a directory of their own, without a `.env`.

DATABASE_URL and REDIS_URL choose the form (see `tests/services.py`).
"""

import atexit
import os
import tempfile

# Workers of xdist inherit it.
_directory = tempfile.TemporaryDirectory(prefix="natproject-tests-")
atexit.register(_directory.cleanup)
os.environ.setdefault("DATA_DIR", _directory.name)
os.environ.setdefault("FILES_DIR", f"{os.environ['DATA_DIR']}/files")
os.environ["ENV_FILE"] = os.devnull
os.environ.pop("OPENAI_MODEL", None)
# The form of many processes makes none.
os.environ.setdefault("SECRET_KEY", "only-for-tests-" + "x" * 50)

from natproject.settings import *  # noqa: E402, F403 - the environment first
from tests.support.core_only import choose  # noqa: E402 - as above
from tests.support.processes.environment import NO_LIMITS  # noqa: E402 - as above
from tests.support.settings import PASSWORD_HASHERS as PASSWORD_HASHERS  # noqa: E402 - as above

INSTALLED_APPS = choose(INSTALLED_APPS)  # noqa: F405
HITL |= NO_LIMITS  # noqa: F405
# Django keeps the mails of tests in memory, and from 6.1 on reports that.
SILENCED_SYSTEM_CHECKS = ["mail.E001"]
# Each of Django's test clients would look for all static files; those of servers are tested.
MIDDLEWARE.remove("servestatic.middleware.ServeStaticMiddleware")  # noqa: F405
# Django's test client keeps the connections of its threads, which would take all that a pool has.
options: dict[str, object] = DATABASES["default"].get("OPTIONS", {})  # type: ignore[assignment]  # noqa: F405
options.pop("pool", None)
# Tests fill tables in one transaction, and do so on machines that may stand still for seconds.
if "options" in options:
    options["options"] = f"{options['options']} -c idle_in_transaction_session_timeout=60s"
