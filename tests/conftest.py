"""What a test may need from the machine, decided in one place.

A test that needs PostgreSQL, Redis and RabbitMQ, Chromium or plink2 carries the marker `service`, `browser`
or `peer`. Where that is absent the test is skipped; where CI is set, its absence is a failure.
"""

import os
import shutil
import socket
import sys
from functools import cache

import pytest
from hypothesis import settings
from sqlalchemy import create_engine
from sqlalchemy.exc import SQLAlchemyError

from tests.postgres import postgres_server

# No example is timed: a busy machine is no fault of the code.
settings.register_profile("omic", deadline=None)
settings.load_profile("omic")

RECURSION_LIMIT = sys.getrecursionlimit()
REDIS = ("127.0.0.1", 6379)
RABBITMQ = ("127.0.0.1", 5672)


@cache
def _no_service() -> str | None:
    try:
        engine = create_engine(postgres_server() + "/postgres", connect_args={"connect_timeout": 5})
        engine.connect().close()
        engine.dispose()
    except SQLAlchemyError as error:
        return f"no PostgreSQL here ({type(error).__name__})"
    for name, address in (("Redis", REDIS), ("RabbitMQ", RABBITMQ)):
        try:
            socket.create_connection(address, timeout=5).close()
        except OSError as error:
            return f"no {name} here ({error.strerror})"
    return None


@cache
def _no_browser() -> str | None:
    return None if shutil.which("chromium") else "no Chromium here (apt-get install chromium)"


@cache
def _no_peer() -> str | None:
    return None if shutil.which("plink2") else "no plink2 here (apt-get install plink2)"


NEEDS = {"service": _no_service, "browser": _no_browser, "peer": _no_peer}


@pytest.fixture(scope="session")
def chromium():
    """Return one browser for every test of a process: Playwright starts once a thread."""
    playwright = pytest.importorskip("playwright.sync_api")
    with playwright.sync_playwright() as driver:
        path = shutil.which("chromium")
        browser = driver.chromium.launch(executable_path=path, args=["--no-sandbox"])
        yield browser
        browser.close()


def in_ci() -> bool:
    return os.environ.get("CI", "") not in ("", "0", "false")


def pytest_runtest_setup(item: pytest.Item) -> None:
    # Some libraries raise it for good when imported; deeply nested input would then end the run.
    sys.setrecursionlimit(RECURSION_LIMIT)
    for name, absent in NEEDS.items():
        if item.get_closest_marker(name) is None or (reason := absent()) is None:
            continue
        if in_ci():
            pytest.fail(f"{reason}; in CI every {name} must be there", pytrace=False)
        pytest.skip(reason)


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item: pytest.Item):
    """In CI a skip inside a marked test is a failure too, whoever asked for it."""
    outcome = yield
    report = outcome.get_result()
    marked = any(item.get_closest_marker(name) for name in NEEDS)
    if report.skipped and marked and in_ci() and not hasattr(report, "wasxfail"):
        report.outcome = "failed"
        report.longrepr = f"skipped in CI: {report.longrepr}"
