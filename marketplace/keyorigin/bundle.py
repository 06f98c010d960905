"""What the key origin serves: every file by path, and one digest over them all.

`config.json` holds the trust file, `words.json` the plain words for terms with what each preset
would allow (computed by the one matcher). Both count in the digest like the code does.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ledger import canonical, parse_json
from marketplace.keyorigin.one_file import PAGE, one_file, policy_of
from marketplace.keyorigin.words import words
from marketplace.script_texts import spoken_file

HERE = Path(__file__).parent / "static"
STYLES = Path(__file__).parents[1] / "web" / "static"
SHARED = (
    "omic.css", "icon.svg", "asked.js", "axes.js", "numbers.js", "plots.js",
    "plots_association.js", "plots_genomes.js", "plots_people.js",
)  # fmt: skip
TYPES = {
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".json": "application/json",
    ".svg": "image/svg+xml",
    ".txt": "text/plain; charset=utf-8",
}


@dataclass(frozen=True, slots=True)
class Bundle:
    """Files by path ("/js/app.js"), and the hex SHA-256 of the manifest that lists them all."""

    files: Mapping[str, bytes]
    digest: str

    def manifest(self) -> bytes:
        """Return {"files": {path: sha256 hex}} in canonical JSON; its SHA-256 is the digest."""
        return _manifest(self.files)

    def policy(self, path: str = "/index.html") -> str:
        """Return the Content-Security-Policy: own code, and the addresses of the trust file.

        The page that checks proofs offline may connect nowhere at all.
        """
        if path == PAGE:
            return policy_of(self.files[PAGE])
        trust = json.loads(self.files["/config.json"])["trust"]
        names = ("ledger_url", "marketplace_url", "attester_url")
        reach = " ".join(str(trust[name]) for name in names if trust.get(name))
        return (
            "default-src 'none'; script-src 'self'; worker-src 'self'; style-src 'self'; "
            f"img-src 'self' data: blob:; connect-src 'self' {reach}; form-action 'none'; "
            "base-uri 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'; "
            "trusted-types omic"
        )


def build(trust_file: bytes) -> Bundle:
    """Return the bundle for a market's trust file (trust.json). Raises FormatError."""
    trust = parse_json(trust_file)
    files = {f"/{path.relative_to(HERE).as_posix()}": spoken_file(path) for path in _static()}
    files |= {f"/{name}": spoken_file(STYLES / name) for name in SHARED}
    files["/config.json"] = _json({"trust": trust})
    files["/words.json"] = _json(words())
    files[PAGE] = one_file(files, trust)
    return Bundle(files, digest_of(files))


def _static() -> list[Path]:
    return sorted(path for path in HERE.rglob("*") if path.is_file() and path.suffix in TYPES)


def digest_of(files: Mapping[str, bytes]) -> str:
    """Return the digest a `web.released` entry states for these files."""
    return hashlib.sha256(_manifest(files)).hexdigest()


def _manifest(files: Mapping[str, bytes]) -> bytes:
    digests: dict[str, Any] = {p: hashlib.sha256(data).hexdigest() for p, data in files.items()}
    return canonical({"files": digests})


def _json(value: Any) -> bytes:
    return (json.dumps(value, indent=1, sort_keys=True, ensure_ascii=False) + "\n").encode()
