"""Settings of the tests: the project's own, in a directory of their own, without a `.env`.

DATABASE_URL and REDIS_URL choose the form (see `tests/services.py`).
"""

import os
import tempfile

# Kept in a name, because the directory is removed with the object. Workers of xdist inherit it.
_directory = tempfile.TemporaryDirectory(prefix="natproject-tests-")
os.environ.setdefault("DATA_DIR", _directory.name)
os.environ["ENV_FILE"] = os.devnull
# The form of many processes makes none.
os.environ.setdefault("SECRET_KEY", "only-for-tests-" + "x" * 50)

from natproject.settings import *  # noqa: E402, F403 - the environment first

# Hashing is slow on purpose; tests need none of it.
PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
# Django's test client keeps the connections of its threads, which would take all that a pool has.
DATABASES["default"]["OPTIONS"].pop("pool", None)  # noqa: F405 - from the star above
