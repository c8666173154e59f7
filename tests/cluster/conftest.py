"""A cluster for many tests; one that a test could not bring to its end is not used again."""

from collections.abc import Iterator

import pytest

from tests.cluster.cluster import Cluster, Template


@pytest.fixture(scope="session")
def cluster_template(tmp_path_factory: pytest.TempPathFactory) -> Template:
    return Template(tmp_path_factory.mktemp("template"))


@pytest.fixture(scope="session")
def kept() -> Iterator[list[Cluster]]:
    """Keep the cluster from test to test, if one is up and in order."""
    kept: list[Cluster] = []
    yield kept
    for cluster in kept:
        cluster.close()


@pytest.fixture
def cluster(
    kept: list[Cluster],
    cluster_template: Template,
    tmp_path_factory: pytest.TempPathFactory,
    request: pytest.FixtureRequest,
) -> Iterator[Cluster]:
    """Yield a cluster of two web processes and two workers."""
    if kept:
        cluster = kept.pop()
    else:
        cluster = Cluster(cluster_template, tmp_path_factory.mktemp("cluster")).__enter__()
    try:
        cluster.heal()
    except BaseException:
        cluster.close()
        raise
    failed_before = request.session.testsfailed
    yield cluster
    if request.session.testsfailed == failed_before:
        kept.append(cluster)
    else:
        cluster.close()
