"""The face of compute brings in no parser, server, queue, database or key handling."""

import subprocess
import sys

import pytest

FORBIDDEN = {
    "pysam",
    "crypt4gh",
    "flask",
    "celery",
    "kombu",
    "sqlmodel",
    "sqlalchemy",
    "stripe",
    "obstore",
}
PROBE = "import sys, {0}; print(*sorted({{name.partition('.')[0] for name in sys.modules}}))"


def loaded(module):
    done = subprocess.run(
        [sys.executable, "-c", PROBE.format(module)], capture_output=True, text=True, check=True
    )
    return set(done.stdout.split())


def test_importing_compute_loads_none_of_them():
    found = loaded("compute")
    assert "pydantic" in found
    assert not found & FORBIDDEN


def test_importing_compute_does_not_load_its_sub_faces():
    script = "import sys, compute; print(*(m for m in sys.modules if m.startswith('compute.')))"
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    assert not {"compute.crypt", "compute.ingest"} & set(done.stdout.split())


@pytest.mark.parametrize("module", ["compute.crypt"])
def test_the_crypt_face_loads_no_server_or_parser(module):
    assert not loaded(module) & (FORBIDDEN - {"crypt4gh"})


def test_everything_the_face_names_is_there():
    import compute

    assert sorted(set(compute.__all__)) == sorted(compute.__all__)
    assert all(hasattr(compute, name) for name in compute.__all__)
