"""What may be said beside a file, as the options every command that reads a file shares."""

import functools
import inspect
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, cast, get_args

import typer

from compute.ingest import Build, Callability, Given, Hints, IngestError, Modality
from marketplace.client.errors import ClientError
from marketplace.client.owner import MODALITIES

FileArgument = Annotated[Path, typer.Argument(help="The file, e.g. my.vcf.gz")]
ReferenceOption = Annotated[
    Path | None, typer.Option(help="Reference FASTA: check REF, left-align insertions, deletions.")
]

# As compute names it to programs, and as a person types it.
_WORDS = {
    "sample=NAME": "--sample NAME",
    "split it (bcftools +split)": "split a study by participant (`omic custodian split`)",
    "(alleles=)": "(--alleles FILE: a VCF of your array's sites, or your reference's dbSNP VCF)",
    "say it beside the file": "add --namespace or --unit",
    "say which build the download is on": "add --build GRCh37 or GRCh38",
}


@dataclass(frozen=True)
class Beside:
    """What was said beside a file; each field is an option of the command line."""

    modality: Annotated[str, typer.Option(help=", ".join(MODALITIES) + ".")] = "genotypes"
    sample: Annotated[str | None, typer.Option(help="Which sample, if the file has several.")] = (
        None
    )
    build: Annotated[
        str | None, typer.Option(help="GRCh37 or GRCh38, where the file does not say.")
    ] = None
    callability: Annotated[
        str | None, typer.Option(help=", ".join(get_args(Callability)) + ": what absence means.")
    ] = None
    regions: Annotated[
        Path | None, typer.Option(help="BED of the regions your caller could call.")
    ] = None
    alleles: Annotated[
        Path | None,
        typer.Option(help="REF/ALT of an array's sites (VCF or table), for raw data."),
    ] = None
    reference: ReferenceOption = None
    namespace: Annotated[
        str | None, typer.Option(help="Of feature names, e.g. Ensembl, UniProt, HMDB.")
    ] = None
    unit: Annotated[str | None, typer.Option(help="Of values, e.g. TPM, beta, NPX.")] = None
    assay: Annotated[str | None, typer.Option(help="How it was measured, e.g. RNA-seq.")] = None

    def kind(self) -> Modality:
        """Return the modality. Raises ClientError."""
        if self.modality not in MODALITIES:
            raise ClientError(f"modality {self.modality!r} is not one of {', '.join(MODALITIES)}")
        return cast("Modality", self.modality)

    def given(self) -> Given:
        """Return it as the readers take it. Raises ClientError naming the option."""
        hints = Hints(
            build=build_of(self.build),
            namespace=self.namespace,
            unit=self.unit,
            assay=self.assay,
            alleles=read(self.alleles),
            regions=read(self.regions),
        )
        return Given(self.sample, callability_of(self.callability), hints, self.reference)


def takes_beside(command: Callable[..., None]) -> Callable[..., None]:
    """Give a command the options of `Beside`, which it gets as one argument of that name."""
    shared, own = inspect.signature(Beside).parameters, inspect.signature(command)

    @functools.wraps(command)
    def run(**options: object) -> None:
        said = {name: options.pop(name) for name in shared}
        command(beside=Beside(**said), **options)  # type: ignore[arg-type]

    mine = [one for one in own.parameters.values() if one.name != "beside"]
    needed = [one for one in mine if one.default is one.empty]
    others = [one for one in mine if one.default is not one.empty]
    # Typer reads the options off the signature.
    run.__signature__ = own.replace(parameters=[*needed, *shared.values(), *others])  # type: ignore[attr-defined]
    return run


def build_of(value: str | None) -> Build | None:
    """Return the build that was said. Raises ClientError."""
    return cast("Build | None", _one_of("build", value, get_args(Build)))


def callability_of(value: str | None) -> Callability | None:
    """Return the callability that was said. Raises ClientError."""
    return cast("Callability | None", _one_of("callability", value, get_args(Callability)))


def _one_of(option: str, value: str | None, known: Sequence[str]) -> str | None:
    if value not in (None, *known):
        raise ClientError(f"--{option} is one of {', '.join(known)}")
    return value


def read(path: Path | None) -> bytes | None:
    """Return a file's bytes, None for none. Raises ClientError."""
    try:
        return None if path is None else path.read_bytes()
    except OSError as error:
        raise ClientError(f"cannot read {path}: {error.strerror}") from None


def in_options(error: IngestError) -> ClientError:
    """Return compute's refusal in the words of the command line."""
    said = str(error)
    for programs, people in _WORDS.items():
        said = said.replace(programs, people)
    return ClientError(said)
