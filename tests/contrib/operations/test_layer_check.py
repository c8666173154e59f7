"""Tests of what the doctor says of a channel layer."""

from pathlib import Path

import pytest
from django.core.checks import ERROR, INFO, WARNING
from pytest_django import Settings

from natproject.cluster.servers import Redis
from sessions_app.contrib.operations.doctor import cluster as checks
from tests.wire.layer.test_other_layers import CORE, PUBSUB, use

pytestmark = pytest.mark.formless


@pytest.mark.slow
@pytest.mark.parametrize(
    ("backend", "levels"),
    [
        (CORE, [WARNING, INFO]),
        (PUBSUB, [WARNING, INFO]),
        ("sessions_app.notify.layers.memory.MemoryLayer", [ERROR]),
    ],
)
def test_doctor_says_what_a_layer_cannot_do(
    settings: Settings, tmp_path: Path, backend: str, levels: list[int]
) -> None:
    with Redis(tmp_path / "redis") as redis:
        use(settings, backend, None if "memory" in backend else redis)
        findings = list(checks._layer())
    assert [finding.level for finding in findings] == levels
