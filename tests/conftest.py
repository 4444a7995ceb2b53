"""For all tests."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import structlog


@pytest.fixture(autouse=True)
def log_of_this_test_only() -> Iterator[None]:
    """A command run within a test starts the log, on a stream that is closed when the test ends."""
    yield
    structlog.reset_defaults()
