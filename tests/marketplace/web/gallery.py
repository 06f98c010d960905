"""The gallery of the documents: every page, wide and on a phone side by side, with what it is for.

write_gallery(folder, docs) reads NAME-1280-light.png and NAME-390-light.png (pictures.py takes
them) and writes docs/pages/NAME.webp and docs/PAGES.md.
"""

import shutil
from pathlib import Path

from PIL import Image

from marketplace.web.dry_run_form import FAMILIES
from marketplace.web.query_words import short

WIDE, PHONE, GAP = 640, 234, 24
ANSWER = 760  # of a preview the answer; the form below it is the same for all
PAPER = (222, 221, 216)
QUALITY = 50
HEAD = """# Every page

Wide (1280 px) and on a phone (390 px), of a practice run. `make pictures` makes them anew from the
pages as they are; `tests/marketplace/web/test_browser.py` and `tests/e2e/test_browser_owner.py` hold
each to WCAG 2.2 AA, at both widths, light and dark.
"""
SECTIONS = {
    "First visit": {
        "landing": "Landing page", "how-it-works": "How it works", "tour-1": "Tour, 1",
        "tour-2": "Tour, 2", "tour-3": "Tour, 3", "tour-4": "Tour, 4", "tour-5": "Tour, 5",
        "tour-6": "Tour, 6", "glossary": "Glossary", "signin": "Sign in", "not-found": "An error",
    },
    "A person and their data": {
        "me": "My data", "uses": "Every use", "statement": "What I earned, and how I am paid",
    },
    "Keys, on an address of their own": {
        "keys-start": "Keys are made in the browser", "keys-code": "The printed code",
        "keys-share": "What is in a file, before anything leaves", "keys-consent": "Consent to exact terms",
        "keys-granted": "It is in force", "keys-withdraw": "Take it back",
        "keys-terms": "Other terms", "keys-uses": "Every use, found by the browser", "keys-verify": "A proof, checked",
        "keys-term": "A word explained", "keys-unlock": "Unlock", "keys-overview": "My keys",
        "keys-recover": "Back with the printed code", "keys-import": "Keys from the omic command",
        "keys-passport-form": "Share with a professional", "keys-passport-given": "Shared",
        "keys-passport-list": "What I share", "keys-unshare": "End a share",
        "keys-fetch": "As the professional sees it", "keys-recovery": "Ask for a lost account",
        "keys-cancel-recovery": "Cancel what somebody else asked for",
    },
    "A researcher": {
        "catalogue": "Catalogue", "research": "My research", "order-unpaid": "An order to pay",
        "invoice": "Its invoice", "order-running": "An order at work", "order-draft": "Waiting for reviewers",
        "order-settled": "Answered", "order-failed": "Failed, money back", "reviews": "An output reviewer's page",
    },
    "Questions, previewed on made-up people": {
        f"preview-{family}": short(family) for family in FAMILIES
    },
    "An auditor, and the public": {
        "ledger": "Ledger", "ledger-entry": "An entry and its proof", "jobs": "Public job log",
        "job": "Where an answer comes from", "keys-check": "Check a proof or a bundle, offline", "status": "Status and witnesses", "docs-api": "The API",
    },
    "An operator": {"operator": "Operator's page"},
}  # fmt: skip


def write_gallery(folder: Path, docs: Path) -> None:
    """Write one sheet a page and the document that shows them. A missing picture is an error."""
    sheets = docs / "pages"
    shutil.rmtree(sheets, ignore_errors=True)
    sheets.mkdir(parents=True)
    text = [HEAD]
    for title, pages in SECTIONS.items():
        text.append(f"\n## {title}\n")
        for name, words in pages.items():
            sheet(folder, name).save(sheets / f"{name}.webp", quality=QUALITY, method=6)
            text.append(f"\n### {words}\n\n![{words}](pages/{name}.webp)\n")
    (docs / "PAGES.md").write_text("".join(text))


def sheet(folder: Path, name: str) -> Image.Image:
    """Return a page wide and on a phone beside each other, on paper as high as the higher one."""
    both = [
        fitted(folder / f"{name}-{width}-light.png", to)
        for width, to in ((1280, WIDE), (390, PHONE))
    ]
    height = max(one.height for one in both)
    height = min(height, ANSWER) if name.startswith("preview-") else height
    made = Image.new("RGB", (WIDE + GAP + PHONE, height), PAPER)
    made.paste(both[0], (0, 0))
    made.paste(both[1], (WIDE + GAP, 0))
    return made


def fitted(path: Path, width: int) -> Image.Image:
    picture = Image.open(path).convert("RGB")
    return picture.resize(
        (width, picture.height * width // picture.width), Image.Resampling.LANCZOS
    )
