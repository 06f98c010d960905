"""The files beside the ingest tests (tests/data/ingest), and what every refusal must look like."""

from __future__ import annotations

import subprocess
from importlib.resources import files
from pathlib import Path

import pytest

from compute.ingest import IngestError, parse

HOME = Path(__file__).parents[2] / "data" / "ingest"


def real(name):
    return (HOME / name).read_bytes()


def shipped(suffix):
    """A file of the demo's PLINK set: bed, bim or fam."""
    return files("marketplace.client.demo_data").joinpath(f"Geuvadis.{suffix}").read_bytes()


def shipped_plink(folder):
    """Write the demo's PLINK set, and what plink2 makes of it; return the .bed and the .pgen."""
    for suffix in ("bed", "bim", "fam"):
        (folder / f"g.{suffix}").write_bytes(shipped(suffix))
    command = ["plink2", "--bfile", folder / "g", "--make-pgen", "--out", folder / "p"]
    subprocess.run(list(map(str, command)), check=True, capture_output=True)
    return folder / "g.bed", folder / "p.pgen"


def refused(data, modality, **more):
    """Parse what must be refused; return the refusal."""
    data = data.encode() if isinstance(data, str) else data
    with pytest.raises(IngestError) as caught:
        parse(data, modality, "/private/dir/my.file", **more)
    assert caught.value.name == "my.file"
    assert "/private" not in str(caught.value)
    return caught.value
