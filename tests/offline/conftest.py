"""The log of a service, shared by the tests of this folder."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from armwise.log import open_reader
from armwise.log.reading import Reading
from logged_service import make_router, serve


@pytest.fixture(scope="session")
def log_path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("offline") / "service.duckdb"
    with make_router(path) as router:
        serve(router, 2_000)
    return path


@pytest.fixture
def log(log_path: Path) -> Iterator[Reading]:
    with open_reader(log_path) as reader:
        yield reader
