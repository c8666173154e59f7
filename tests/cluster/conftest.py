"""A cluster for many tests; one that a test could not bring to its end is not used again."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cluster.cluster import Cluster, Template


class Kept:
    """The cluster that is up, if one is."""

    def __init__(self, template: Template, directory: Path) -> None:
        self._template = template
        self._directory = directory
        self._cluster: Cluster | None = None
        self._numbers = iter(range(1000))

    def take(self) -> Cluster:
        """Take a cluster in which everything runs; it is gone unless it is given back."""
        cluster, self._cluster = self._cluster, None
        if cluster is not None:
            return _healed(cluster)
        directory = self._directory / f"cluster{next(self._numbers)}"
        directory.mkdir()
        return Cluster(self._template, directory).__enter__()

    def give_back(self, cluster: Cluster) -> None:
        self._cluster = cluster

    def close(self) -> None:
        if self._cluster is not None:
            self._cluster.close()


def _healed(cluster: Cluster) -> Cluster:
    try:
        cluster.heal()
    except BaseException:
        cluster.close()
        raise
    return cluster


@pytest.fixture(scope="session")
def cluster_template(tmp_path_factory: pytest.TempPathFactory) -> Template:
    directory = tmp_path_factory.mktemp("template")
    return Template(directory)


@pytest.fixture(scope="session")
def kept(cluster_template: Template, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Kept]:
    kept = Kept(cluster_template, tmp_path_factory.mktemp("clusters"))
    try:
        yield kept
    finally:
        kept.close()


@pytest.fixture
def cluster(kept: Kept, request: pytest.FixtureRequest) -> Iterator[Cluster]:
    """Yield a cluster of two web processes and two workers."""
    cluster = kept.take()
    failed_before = request.session.testsfailed
    yield cluster
    if request.session.testsfailed == failed_before:
        kept.give_back(cluster)
    else:
        cluster.close()
