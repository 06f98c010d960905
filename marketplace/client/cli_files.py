"""What an owner may say beside a file, and `omic check`: the quality summary, nothing sent."""

from pathlib import Path
from typing import Annotated, cast, get_args

import typer

from compute.ingest import Build, Callability, Given, Hints, IngestError, Modality, Summary, settle
from marketplace.client.errors import ClientError
from marketplace.client.owner import MODALITIES
from marketplace.client.quality import lines_of
from marketplace.client.terminal import context_of, pairs, say, show

FileArgument = Annotated[Path, typer.Argument(help="The file, e.g. my.vcf.gz")]
ModalityOption = Annotated[str, typer.Option(help=", ".join(MODALITIES) + ".")]
SampleOption = Annotated[str | None, typer.Option(help="Which sample, if the file has several.")]
BuildOption = Annotated[
    str | None, typer.Option(help="GRCh37 or GRCh38, where the file does not say.")
]
CallabilityOption = Annotated[
    str | None, typer.Option(help=", ".join(get_args(Callability)) + ": what absence means.")
]
RegionsOption = Annotated[
    Path | None, typer.Option(help="BED of the regions your caller could call.")
]
AllelesOption = Annotated[
    Path | None, typer.Option(help="REF/ALT of an array's sites (VCF or table), for raw data.")
]
ReferenceOption = Annotated[
    Path | None, typer.Option(help="Reference FASTA: check REF, left-align insertions, deletions.")
]
NamespaceOption = Annotated[
    str | None, typer.Option(help="Of feature names, e.g. Ensembl, UniProt, HMDB.")
]
UnitOption = Annotated[str | None, typer.Option(help="Of values, e.g. TPM, beta, NPX.")]
AssayOption = Annotated[str | None, typer.Option(help="How it was measured, e.g. RNA-seq.")]

# As compute names it to programs, and as a person types it.
_OPTIONS = {
    "sample=NAME": "--sample NAME",
    "split it (bcftools +split)": "split a study by participant (`omic custodian split`)",
    "(alleles=)": "(--alleles FILE: a VCF of your array's sites, or your reference's dbSNP VCF)",
    "say it beside the file": "add --namespace or --unit",
    "say which build the download is on": "add --build GRCh37 or GRCh38",
}


def given_of(
    sample: str | None, build: str | None, callability: str | None, regions: Path | None,
    alleles: Path | None, reference: Path | None, features: tuple[str | None, ...],
) -> Given:  # fmt: skip
    """Return what was said beside the file. features: namespace, unit, assay.

    Raises ClientError naming the option.
    """
    for name, value, known in (("build", build, get_args(Build)),
                               ("callability", callability, get_args(Callability))):  # fmt: skip
        if value is not None and value not in known:
            raise ClientError(f"--{name} is one of {', '.join(known)}")
    hints = Hints(
        build=cast("Build | None", build),
        namespace=features[0],
        unit=features[1],
        assay=features[2],
        alleles=_read(alleles),
        regions=_read(regions),
    )
    return Given(sample, cast("Callability | None", callability), hints, reference)


def _read(path: Path | None) -> bytes | None:
    try:
        return None if path is None else path.read_bytes()
    except OSError as error:
        raise ClientError(f"cannot read {path}: {error.strerror}") from None


def in_options(error: IngestError) -> ClientError:
    """Return compute's refusal in the words of the command line."""
    said = str(error)
    for programs, people in _OPTIONS.items():
        said = said.replace(programs, people)
    return ClientError(said)


def checked_modality(name: str) -> Modality:
    """Return a modality. Raises ClientError."""
    if name not in MODALITIES:
        raise ClientError(f"modality {name!r} is not one of {', '.join(MODALITIES)}")
    return cast("Modality", name)


def show_summary(file: Path, summary: Summary) -> None:
    """Print what the check of a file found."""
    say(f"{file}: checked. Nothing has left this machine yet.")
    for line in pairs(lines_of(summary.as_dict())):
        say(line)


def check(
    context: typer.Context,
    file: FileArgument,
    modality: ModalityOption = "genotypes",
    sample: SampleOption = None,
    build: BuildOption = None,
    callability: CallabilityOption = None,
    regions: RegionsOption = None,
    alleles: AllelesOption = None,
    reference: ReferenceOption = None,
    namespace: NamespaceOption = None,
    unit: UnitOption = None,
    assay: AssayOption = None,
) -> None:
    """Check a file and show its quality. Nothing is registered and nothing is sent."""
    options = context_of(context)
    features = (namespace, unit, assay)
    given = given_of(sample, build, callability, regions, alleles, reference, features)
    data = _read(file) or b""
    try:
        _, summary = settle(data, checked_modality(modality), str(file), given)
    except IngestError as error:
        raise in_options(error) from None
    if options.json_output:
        show(options, summary.as_dict(), [])
    else:
        show_summary(file, summary)
