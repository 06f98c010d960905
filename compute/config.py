"""Configuration of the compute worker: config.toml in its directory, environment over it.

Holds addresses and file names only; secrets are read from their files when they are needed.
Never reaches the network. Keys are those of the directory contract (config.toml of compute).
"""

import os
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from compute.errors import ComputeError
from compute.worker_tick import DEFAULT_TICK_MS

PARTITION_GENOTYPES = 5_000_000_000  # some seconds of work
ENVIRONMENT = {
    "database_url": "OMIC_DATABASE_URL",
    "broker_url": "OMIC_BROKER_URL",
    "store_url": "OMIC_STORE_URL",
    "kms_url": "OMIC_KMS_URL",
}


class ConfigError(ComputeError):
    """The worker's directory or configuration cannot be used as it is."""

    default_code = "configuration"


@dataclass(frozen=True, slots=True)
class WorkerConfig:
    """Where the worker finds everything; times in milliseconds.

    `inclusion_wait_ms` is the longest a step may wait for the ledger before the job is given back.
    `helpers`: how many processes `python -m compute.worker help` share a large pass; 0: nobody is
    asked. `partition_genotypes`: people x rows of the variant table that a partition of a pass
    holds at least; a pass of one partition stays with its worker. `partition_wait_ms`: how long it
    waits for a partition whose helper is not heard of, before it sums that itself.
    """

    directory: Path
    ledger_url: str
    marketplace_url: str
    database_url: str
    store_url: str
    broker_url: str
    region: str
    trust_file: Path
    worker_token_file: Path
    ledger_token_file: Path
    kms_url: str = "file"
    inclusion_wait_ms: int = 30_000
    tick_ms: int = DEFAULT_TICK_MS
    reference_dir: Path | None = None
    helpers: int = 0
    partition_genotypes: int = PARTITION_GENOTYPES
    partition_wait_ms: int = 60_000

    @property
    def store_path(self) -> Path:
        """Return the file of the cohort store; only file:// is offered so far."""
        prefix = "file://"
        if not self.store_url.startswith(prefix):
            raise ConfigError("store_url must be file:///absolute/path")
        return self.directory / self.store_url.removeprefix(prefix)


def default_settings(directory: Path, region: str) -> dict[str, Any]:
    """Return the settings `init` writes: the embedded layout, everything beside the directory."""
    here = directory.resolve()
    return {
        "ledger_url": "http://127.0.0.1:8081",
        "marketplace_url": "http://localhost:8080",
        "database_url": f"sqlite:///{here / 'compute.sqlite'}",
        "store_url": f"file://{here / 'store.sqlite'}",
        "kms_url": "file",
        "broker_url": f"filesystem://{here.parent / 'broker'}",
        "region": region,
        "trust_file": str(here.parent / "trust" / "trust.json"),
        "worker_token_file": str(here / "worker.token"),
        "ledger_token_file": str(here / "ledger.token"),
        "reference_dir": str(here.parent / "reference"),
    }


def format_toml(settings: Mapping[str, Any]) -> str:
    """Write flat settings as TOML; values are strings and integers only."""
    lines = []
    for name, value in settings.items():
        text = str(value)
        if isinstance(value, str):
            escaped = text.replace("\\", "\\\\").replace('"', '\\"')
            text = f'"{escaped}"'
        lines.append(f"{name} = {text}")
    return "\n".join(lines) + "\n"


def load_config(directory: Path, environment: Mapping[str, str] | None = None) -> WorkerConfig:
    """Read config.toml and the OMIC_* overrides. Raises ConfigError naming the file and key."""
    path = directory / "config.toml"
    try:
        values = tomllib.loads(path.read_text())
    except FileNotFoundError:
        raise ConfigError(f"{path} is missing: run `python -m compute.worker init` first") from None
    except (tomllib.TOMLDecodeError, OSError) as error:
        raise ConfigError(f"{path} cannot be read: {error}") from None
    values = {**default_settings(directory, "local"), **values.get("compute", values)}
    for name, variable in ENVIRONMENT.items():
        values[name] = (environment or os.environ).get(variable) or values[name]
    return _config(directory, values)


def _config(directory: Path, values: Mapping[str, Any]) -> WorkerConfig:
    return WorkerConfig(
        directory=directory,
        ledger_url=str(values["ledger_url"]),
        marketplace_url=str(values["marketplace_url"]),
        database_url=str(values["database_url"]),
        store_url=str(values["store_url"]),
        kms_url=str(values["kms_url"]),
        broker_url=str(values["broker_url"]),
        region=str(values["region"]),
        trust_file=directory / str(values["trust_file"]),
        worker_token_file=directory / str(values["worker_token_file"]),
        ledger_token_file=directory / str(values["ledger_token_file"]),
        inclusion_wait_ms=int(values.get("inclusion_wait_ms", 30_000)),
        tick_ms=_tick(values),
        reference_dir=directory / str(values["reference_dir"]),
        helpers=_whole(values, "helpers", 0, least=0),
        partition_genotypes=_whole(values, "partition_genotypes", PARTITION_GENOTYPES),
        partition_wait_ms=_whole(values, "partition_wait_ms", 60_000),
    )


def _whole(values: Mapping[str, Any], name: str, usual: int, least: int = 1) -> int:
    """Return a whole number. Raises ConfigError for anything else, or one below `least`."""
    found = values.get(name, usual)
    if not isinstance(found, int) or isinstance(found, bool) or found < least:
        raise ConfigError(f"{name} must be a whole number from {least} on ({usual} is usual)")
    return found


def _tick(values: Mapping[str, Any]) -> int:
    """Return the tick. Answers at once are an embedded run's or a test's choice, never an accident.

    Raises ConfigError for anything but whole milliseconds above 0.
    """
    found = values.get("tick_ms", DEFAULT_TICK_MS)
    if not isinstance(found, int) or isinstance(found, bool) or found <= 0:
        raise ConfigError("tick_ms must be a whole number of milliseconds above 0 (30000 is usual)")
    return found


def read_token(path: Path, scope: str) -> str:
    """Read a bearer token: the whole file, or `scope` of a TOML table. Raises ConfigError."""
    try:
        text = path.read_text().strip()
    except OSError:
        raise ConfigError(
            f"the token file {path} cannot be read; the supervisor puts it there"
        ) from None
    if "=" not in text.rstrip("="):
        return text
    try:
        return str(tomllib.loads(text)[scope])
    except (tomllib.TOMLDecodeError, KeyError):
        raise ConfigError(f"{path} names no token of scope {scope}") from None
