"""Coverage-guided fuzzing of every parser with atheris (libFuzzer). Not a test by itself.

    python -m tests.compute.ingest.fuzz_parsers CORPUS -runs=100000 -max_len=8192

The first byte of an input chooses the modality, the second whether a sample is asked for. Anything
but an answer or an IngestError is a crash, which libFuzzer reports with the input that made it.
"""

from __future__ import annotations

import sys

import atheris

with atheris.instrument_imports(include=["compute.ingest"]):
    from compute.ingest import MODALITIES, Hints, IngestError, parse
from compute.parsed import Limits

LIMITS = Limits(max_input=1 << 20, max_plain=1 << 22)
HINTS = Hints(namespace="n", unit="u", build=None)


def one_input(data: bytes) -> None:
    if len(data) < 3:
        return
    modality = MODALITIES[data[0] % len(MODALITIES)]
    sample = ("a", None)[data[1] % 2]
    hints = Hints() if modality == "genotypes" else HINTS
    try:
        parse(data[2:], modality, "f", sample=sample, hints=hints, limits=LIMITS)
    except IngestError as error:
        if error.name != "f" or not error.code:
            raise AssertionError("a refusal without name or code") from error


if __name__ == "__main__":
    atheris.Setup(sys.argv, one_input)
    atheris.Fuzz()
