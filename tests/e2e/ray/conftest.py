"""One cluster for all tests of this folder: it takes half a minute to start."""

from collections.abc import AsyncGenerator, Iterator

import pytest

from tests.e2e.ray.cluster import Cluster, cluster, ready
from tests.support.worker_conformance import Place


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Whoever comes first waits for the cluster."""
    for item in items:
        item.add_marker(pytest.mark.timeout(300))


@pytest.fixture(scope="session")
def there() -> Iterator[Cluster]:
    """The cluster."""
    with cluster() as running:
        yield running
    assert not running.processes()


@pytest.fixture
async def place(there: Cluster) -> AsyncGenerator[Place]:
    """Where it is, when two painters are idle."""
    found = await ready(there)
    yield found
    await found.session.close()
