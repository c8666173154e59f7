"""Settings of servers with a layer of channels-redis: the one that LAYER names."""

import os

from tests.support.settings import *  # noqa: F403

CHANNEL_LAYERS = {
    "default": {"BACKEND": os.environ["LAYER"], "CONFIG": {"hosts": [os.environ["REDIS_URL"]]}}
}
