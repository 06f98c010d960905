"""Configuration of the ledger's processes: config.toml, secrets and tokens in one directory.

Paths in a file are relative to that directory. Secrets are created readable by their owner alone
and never overwritten. Never prints or logs a secret.
"""

import json
import os
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ledger.errors import FormatError, LedgerError

CONFIG_NAME = "config.toml"
LOG_KEY_NAME = "log.key"
OPERATOR_KEY_NAME = "operator.key"
TOKENS_NAME = "tokens.toml"
DEFAULT_TRUST_FILE = "../trust/trust.json"
DATABASE_VARIABLE = "OMIC_DATABASE_URL"


@dataclass(frozen=True, slots=True)
class LedgerConfig:
    """One log. trust_file None: no witness policy is asked for (only for trying things out)."""

    directory: Path
    host: str
    port: int
    origin: str
    database_url: str
    witnesses: tuple[str, ...]
    trust_file: Path | None


@dataclass(frozen=True, slots=True)
class WitnessConfig:
    """One witness; logs are verifier keys, besides those of the trust file's policy."""

    directory: Path
    host: str
    port: int
    name: str
    logs: tuple[str, ...]
    trust_file: Path | None


@dataclass(frozen=True, slots=True)
class Tokens:
    """Bearer tokens by scope; auditor: the first auditor's, valid as `ledger.auditors` says."""

    envelopes: str
    grants: str
    auditor: str


def load_ledger(directory: Path, environment: Mapping[str, str] = os.environ) -> LedgerConfig:
    """Read the ledger's config.toml. Raises FormatError, naming the key."""
    value = read_config(directory / CONFIG_NAME)
    url = environment.get(DATABASE_VARIABLE) or read_key(value, "database_url", str)
    witnesses = tuple(read_key(item, "url", str) for item in value.get("witnesses", []))
    return LedgerConfig(
        directory,
        str(value.get("host", "127.0.0.1")),
        read_key(value, "port", int),
        read_key(value, "origin", str),
        absolute_url(url, directory),
        witnesses,
        _trust(value, directory),
    )


def load_witness(directory: Path) -> WitnessConfig:
    """Read a witness's config.toml. Raises FormatError, naming the key."""
    value = read_config(directory / CONFIG_NAME)
    logs = tuple(str(item) for item in value.get("logs", []))
    host, port = str(value.get("host", "127.0.0.1")), read_key(value, "port", int)
    name = read_key(value, "name", str)
    return WitnessConfig(directory, host, port, name, logs, _trust(value, directory))


def load_tokens(directory: Path) -> Tokens:
    """Read tokens.toml. Raises FormatError."""
    value = read_config(directory / TOKENS_NAME)
    tokens = Tokens(*(read_key(value, name, str) for name in ("envelopes", "grants", "auditor")))
    if min(len(tokens.envelopes), len(tokens.grants), len(tokens.auditor)) < 32:
        raise FormatError(f"{TOKENS_NAME}: a token must have at least 32 characters")
    return tokens


def write_toml(path: Path, value: Mapping[str, Any]) -> None:
    """Write strings, integers and lists of them, and lists of tables, as a private TOML file."""
    lines = [f"{key} = {_toml(item)}" for key, item in value.items() if not _is_tables(item)]
    for key, item in value.items():
        for table in item if _is_tables(item) else ():
            lines += ["", f"[[{key}]]", *(f"{k} = {_toml(v)}" for k, v in table.items())]
    write_secret(path, "\n".join(lines) + "\n")


def rewrite_toml(path: Path, value: Mapping[str, Any]) -> None:
    """Replace a private TOML file in one step."""
    fresh = path.with_name(path.name + ".new")
    fresh.unlink(missing_ok=True)
    write_toml(fresh, value)
    fresh.replace(path)


def write_secret(path: Path, text: str) -> None:
    """Create a file only its owner can read. Raises LedgerError if there is one already."""
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    try:
        handle = os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600)
    except FileExistsError:
        raise LedgerError(
            f"{path} exists; a key is never overwritten, choose another --dir"
        ) from None
    with os.fdopen(handle, "w") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())


def read_secret(path: Path) -> str:
    """Read what `write_secret` wrote. Raises FormatError."""
    try:
        return path.read_text().strip()
    except OSError as error:
        raise FormatError(f"cannot read {path.name}: {error.strerror}; run init first") from None


def _is_tables(value: object) -> bool:
    return isinstance(value, list) and bool(value) and isinstance(value[0], dict)


def _toml(value: object) -> str:
    # JSON's strings, integers and lists of them are TOML's.
    return json.dumps(value, ensure_ascii=False)


def read_config(path: Path) -> dict[str, Any]:
    """Read a TOML file. Raises FormatError, naming the file."""
    try:
        return tomllib.loads(path.read_text())
    except OSError as error:
        raise FormatError(f"cannot read {path}: {error.strerror}; run init first") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise FormatError(f"{path} is not TOML: {error}") from None


def read_key(value: Any, name: str, kind: type[Any]) -> Any:
    """Return a key of a configuration. Raises FormatError unless it is there and of its kind."""
    if not isinstance(value, dict) or not isinstance(value.get(name), kind):
        raise FormatError(f"the configuration lacks {name!r} ({kind.__name__})")
    return value[name]


def absolute_url(url: str, directory: Path) -> str:
    """Make sqlite:///FILE relative to the directory; leave every other URL alone."""
    prefix = "sqlite:///"
    if url.startswith(prefix):
        return prefix + str((directory / url.removeprefix(prefix)).resolve())
    return url


def _trust(value: Mapping[str, Any], directory: Path) -> Path | None:
    name = str(value.get("trust_file", DEFAULT_TRUST_FILE))
    return (directory / name).resolve() if name else None
