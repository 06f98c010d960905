"""The code digest of a family: it covers everything an answer depends on, and loads none of it."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

from compute.errors import QueryError
from compute.queries import catalogue, code, family_digest
from compute.queries.code import code_modules, source_digest

COMPUTE = Path(code.__file__).parents[1]


@pytest.fixture
def package(tmp_path, monkeypatch):
    """A small package in place of compute: a family, what it imports in three ways, and a rest."""
    for name, text in {
        "family": "import numpy\nfrom compute.kernels import counts, first as one\n"
        "def add():\n    from compute.late import x\n    import compute.deep\n",
        "kernels/__init__": "from compute.kernels.inner import one as first\n"
        "from compute.kernels.unused import two\n",
        "kernels/counts": "", "kernels/inner": "one = 1\n", "kernels/unused": "two = 2\n",
        "late": "x = 1\n", "deep": "from compute.deeper import (\n    y,\n)\n", "deeper": "y = 2\n",
        "released": "", "other": "from compute.family import add\n",
    }.items():  # fmt: skip
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / f"{name}.py").write_text(text)
    monkeypatch.setattr(code, "_ROOT", tmp_path)
    monkeypatch.setattr(code, "_EVERY_ANSWER", ("compute.released",))
    clear()
    yield tmp_path
    clear()


def clear():
    for cached in (code.source_digest, code.code_modules, code._imported, code._imports):
        cached.cache_clear()


COVERED = (
    "compute.deep", "compute.deeper", "compute.family", "compute.kernels.counts",
    "compute.kernels.inner", "compute.late", "compute.released",
)  # fmt: skip


def test_everything_imported_is_found_and_nothing_else(package):
    assert code_modules("compute.family") == COVERED


@pytest.mark.parametrize("module", [*COVERED, "compute.other", "compute.kernels.unused"])
def test_a_changed_line_changes_the_digest_of_what_depends_on_it(package, module):
    before = source_digest("compute.family")
    path = package.joinpath(*module.split(".")[1:])
    path = path.with_suffix(".py")
    path.write_text(path.read_text() + "# another line\n")
    clear()
    assert (source_digest("compute.family") != before) == (module in COVERED)


def test_a_family_whose_source_is_not_there_has_no_digest(package):
    with pytest.raises(QueryError, match="not available"):
        source_digest("compute.nothing")


def test_every_family_has_a_digest_and_what_is_compiled_counts():
    assert len({family_digest(name) for name in catalogue()}) > len(catalogue()) - 2
    assert "compute.kernels.compiled" in code_modules("compute.queries.genotype_counts")
    for name in ("queries.traits", "queries.summaries", "queries.disclosure", "intervals"):
        assert f"compute.{name}" in code_modules("compute.queries.feature_by_genotype")


@pytest.mark.parametrize("family", ["genotype_counts", "top_counts", "clinical_counts"])
def test_every_rule_of_the_gate_counts_and_no_other_family(family):
    found = code_modules(f"compute.queries.{family}")
    for rule in ("release", "suppress", "queries.disclosure", "intervals", "private", "noise"):
        assert f"compute.{rule}" in found
    others = {type(one).__module__ for one in catalogue().values()}
    shared = {"compute.queries.distribution"}  # a clamp, of which top_counts asks no more
    assert set(found) & others <= {f"compute.queries.{family}"} | shared


def test_imports_are_absolute_as_the_digest_reads_them():
    for path in COMPUTE.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            assert not (isinstance(node, ast.ImportFrom) and node.level), path


def test_a_digest_loads_no_kernel():
    script = (
        "import sys\nfrom compute.queries import family_digest\n"
        "family_digest('linear_association')\nsys.exit('numba' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", script], timeout=120, check=False).returncode == 0
