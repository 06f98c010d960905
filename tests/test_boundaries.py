"""The boundaries of the packages, twice: in the imports written down, and in a running process."""

import json
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

REPO = Path(__file__).parents[1]
OPENS_DATA = (
    "compute.vault", "compute.crypt", "compute.ingest", "compute.store", "compute.keys",
    "compute.worker", "pysam", "crypt4gh",
)  # fmt: skip
WEB = ("flask", "apiflask", "waitress", "flask_wtf", "flask_limiter")
PROCESSES = {
    "marketplace server": (
        "import marketplace.server, marketplace.app, marketplace.background, marketplace.web",
        "marketplace.server",
        (*OPENS_DATA, "marketplace.client", "marketplace.embedded", "marketplace.devstripe",
         "ledger.server", "ledger.log"),
    ),
    "compute worker": (
        "import compute.worker, compute.worker_run, compute.worker_start, compute.ingest,"
        " compute.broker, compute.probe",
        "compute.vault",
        (*WEB, "marketplace", "stripe", "obstore", "ledger.server", "ledger.log"),
    ),
    "ledger server": (
        "import ledger.server, ledger.witness, ledger.store_sql, ledger.web",
        "ledger.web",
        ("compute", "marketplace", "celery", "stripe", "pysam", "crypt4gh", "numpy"),
    ),
    "ledger face": (
        "import ledger",
        "ledger.client",
        (*WEB, "sqlmodel", "sqlalchemy", "alembic", "compute", "marketplace", "numpy"),
    ),
    "client": (
        "import marketplace.client.owner, marketplace.client.researcher,"
        " marketplace.client.activity, marketplace.client.reviewer, marketplace.client.auditor",
        "compute.crypt",
        (*WEB, "celery", "stripe", "sqlmodel", "marketplace.app", "marketplace.server",
         "marketplace.store", "compute.vault", "compute.worker", "compute.keys", "ledger.server",
         "ledger.log", "ledger.store_sql"),
    ),
    "development payment server": (
        "import marketplace.devstripe.__main__, marketplace.devstripe.app",
        "marketplace.devstripe.app",
        ("ledger", "compute", "marketplace.client", "marketplace.app"),
    ),
}  # fmt: skip


def modules_after(code: str) -> set[str]:
    """Names in sys.modules of a fresh process that ran the code."""
    script = f"import json, sys\n{code}\nprint(json.dumps(sorted(sys.modules)))"
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, timeout=120, cwd=REPO
    )
    assert done.returncode == 0, done.stderr
    return set(json.loads(done.stdout))


def reached(loaded: set[str], forbidden: tuple[str, ...]) -> list[str]:
    return sorted(
        name
        for name in loaded
        if any(name == f or name.startswith((f + ".", f + "_")) for f in forbidden)
    )


@pytest.mark.parametrize("process", PROCESSES)
def test_a_process_loads_nothing_it_must_not_reach(process):
    code, expected, forbidden = PROCESSES[process]
    loaded = modules_after(code)
    assert expected in loaded
    assert reached(loaded, forbidden) == []


def contracts() -> list[dict]:
    return tomllib.loads((REPO / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"]


def test_the_contract_names_every_module_of_the_server():
    """A new module of the server must not slip past the contract by not being listed."""
    (contract,) = [c for c in contracts() if c["name"].startswith("The marketplace server")]
    beside = {"client", "devstripe", "embedded", "__pycache__"}
    there = {
        f"marketplace.{path.stem}"
        for path in (REPO / "marketplace").iterdir()
        if path.name != "__init__.py"
        and path.stem not in beside
        and (path.suffix == ".py" or any(path.glob("*.py")))
    }
    assert set(contract["source_modules"]) == there


def test_the_written_imports_keep_the_contracts():
    command = [Path(sys.executable).parent / "lint-imports", "--no-cache"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, cwd=REPO)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-1000:]
    assert f"{len(contracts())} kept, 0 broken" in done.stdout
