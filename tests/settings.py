"""Settings of the tests: the project's own, in a directory of their own, without a `.env`."""

import os
import tempfile

# Kept in a name, because the directory is removed with the object. Workers of xdist inherit it.
_directory = tempfile.TemporaryDirectory(prefix="natproject-tests-")
os.environ.setdefault("DATA_DIR", _directory.name)
os.environ["ENV_FILE"] = os.devnull

from natproject.settings import *  # noqa: E402, F403 - the environment first

# Hashing is slow on purpose; tests need none of it.
PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
