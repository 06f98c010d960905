"""The files beside the ingest tests (tests/data/ingest), and what every refusal must look like."""

from __future__ import annotations

from pathlib import Path

import pytest

from compute.ingest import IngestError, parse

HOME = Path(__file__).parents[2] / "data" / "ingest"


def real(name):
    return (HOME / name).read_bytes()


def refused(data, modality, **more):
    """Parse what must be refused; return the refusal."""
    data = data.encode() if isinstance(data, str) else data
    with pytest.raises(IngestError) as caught:
        parse(data, modality, "/private/dir/my.file", **more)
    assert caught.value.name == "my.file"
    assert "/private" not in str(caught.value)
    return caught.value
