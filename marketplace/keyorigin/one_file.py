"""The page that checks proofs offline, as one file: style, scripts and trust file stand in it.

Its own Content-Security-Policy, in the file so that a kept copy has it too, lets it run exactly
these scripts and connect nowhere. Modules are put into one script by the few forms of `import` and
`export` that our files are written in; another form is refused when the bundle is built.
"""

import base64
import hashlib
import json
import posixpath
import re
from collections.abc import Mapping
from typing import Any

PAGE = "/verify.html"
ENTRY = "/js/offline.js"
STYLES = ("/omic.css", "/keys.css")
_IMPORT = re.compile(r'^import \{([^}]*)\} from "([^"]+)";$', re.M)
_EXPORT = re.compile(r"^export ((?:async )?function|const|class) (\w+)", re.M)
_LIST = re.compile(r"^export \{([^}]*)\};$", re.M)
_FOREIGN = re.compile(r"^\s*(?:import|export)\b|\bimport\(", re.M)
_INLINE = re.compile(r"<(style|script)>(.*?)</\1>", re.S)


def one_file(files: Mapping[str, bytes], trust: Any) -> bytes:
    """Return the page with all it needs in it. Raises ValueError for a module it cannot take in."""
    script = _in_one(files)
    style = "\n".join(files[name].decode() for name in STYLES)
    if "</" in style or re.search(r"</script|<!--", script):
        raise ValueError("a style or script of the page would end its element")
    page = files[PAGE].decode()
    for name, text in (
        ("style", style), ("script", script), ("trust", json.dumps(trust).replace("<", "\\u003c")),
        ("policy", _policy(script, style)),
    ):  # fmt: skip
        page = page.replace(f"{{{name}}}", text, 1)
    return page.encode()


def policy_of(page: bytes) -> str:
    """Return the policy the page is served with: what stands in it, and in nobody's frame."""
    found = dict(_INLINE.findall(page.decode()))
    return f"{_policy(found['script'], found['style'])}; frame-ancestors 'none'"


def _policy(script: str, style: str) -> str:
    return (
        f"default-src 'none'; script-src '{_hash(script)}'; style-src '{_hash(style)}'; "
        "form-action 'none'; base-uri 'none'"
    )


def _hash(text: str) -> str:
    return f"sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}"


def _in_one(files: Mapping[str, bytes]) -> str:
    modules: dict[str, str] = {}
    _add(ENTRY, files, modules)
    return "\n".join(['"use strict";', "const modules = {};", *modules.values()])


def _add(name: str, files: Mapping[str, bytes], modules: dict[str, str]) -> None:
    """Put a module behind those it needs. Each runs once, in a function of its own."""
    if name in modules:
        return
    source = files[name].decode()
    for _names, path in _IMPORT.findall(source):
        _add(_beside(name, path), files, modules)

    def taken(found: re.Match[str]) -> str:
        names = found[1].replace(" as ", ": ")
        return f'const {{{names}}} = modules["{_beside(name, found[2])}"];'

    given = [own for _kind, own in _EXPORT.findall(source)]
    given += [f"{own.strip()}" for listed in _LIST.findall(source) for own in listed.split(",")]
    body = _EXPORT.sub(r"\1 \2", _LIST.sub("", _IMPORT.sub(taken, source)))
    if _FOREIGN.search(body):
        raise ValueError(f"{name} imports or exports in a form that is not known here")
    returned = ", ".join(given)
    modules[name] = f'modules["{name}"] = (() => {{\n{body}\nreturn {{ {returned} }};\n}})();'


def _beside(name: str, path: str) -> str:
    return posixpath.normpath(posixpath.join(posixpath.dirname(name), path))
