"""Configuration of a mirror: config.toml in its directory, written by `init`."""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ledger.config import (
    CONFIG_NAME,
    DATABASE_VARIABLE,
    DEFAULT_TRUST_FILE,
    absolute_url,
    read_config,
    read_key,
    write_toml,
)
from ledger.errors import FormatError
from ledger.mirror_copy import Keeps

DATABASE_NAME = "mirror.db"
BEARER_FILE = "token"


@dataclass(frozen=True, slots=True)
class MirrorConfig:
    """One mirror. token_file: the ledger's token of that scope, when it keeps more than leaves."""

    directory: Path
    host: str
    port: int
    source: str
    database_url: str
    keeps: Keeps
    trust_file: Path
    token_file: Path | None


def init(
    directory: Path, source: str, port: int, trust: str = DEFAULT_TRUST_FILE, keeps: str = "leaves"
) -> dict[str, Any]:
    """Write the configuration of a mirror of the log at `source`. Raises LedgerError."""
    value = {"port": port, "source": source, "keeps": _keeps(keeps).value, "trust_file": trust}
    value["database_url"] = f"sqlite:///{DATABASE_NAME}"
    if keeps != Keeps.LEAVES:
        value["token_file"] = BEARER_FILE
    write_toml(directory / CONFIG_NAME, value)
    return {"url": f"http://127.0.0.1:{port}", "port": port, "source": source, "keeps": keeps}


def load_mirror(directory: Path) -> MirrorConfig:
    """Read a mirror's config.toml. Raises FormatError, naming the key."""
    value = read_config(directory / CONFIG_NAME)
    url = os.environ.get(DATABASE_VARIABLE) or read_key(value, "database_url", str)
    token = value.get("token_file")
    return MirrorConfig(
        directory,
        str(value.get("host", "127.0.0.1")),
        read_key(value, "port", int),
        read_key(value, "source", str),
        absolute_url(url, directory),
        _keeps(str(value.get("keeps", Keeps.LEAVES.value))),
        directory / str(value.get("trust_file", DEFAULT_TRUST_FILE)),
        None if token is None else directory / str(token),
    )


def _keeps(word: str) -> Keeps:
    try:
        return Keeps(word)
    except ValueError:
        raise FormatError(f"a mirror keeps leaves, envelopes or grants, not {word!r}") from None
