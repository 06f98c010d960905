"""Configuration of the marketplace server: config.toml in its directory, environment over it.

Holds addresses, file names and limits; secrets stay in their files (mode 0600) and are read when
the server is composed. Relative paths are relative to the server's directory.
"""

import os
import stat
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from marketplace.errors import ConfigError

ENVIRONMENT = {
    "database_url": "OMIC_DATABASE_URL",
    "broker_url": "OMIC_BROKER_URL",
    "object_store_url": "OMIC_OBJECT_STORE_URL",
}
STRIPE_KEY = "OMIC_STRIPE_KEY"
LIVE_KEYS = ("sk_live_", "rk_live_")
SIGNING_KEY_FILE = "signing.key"
CHALLENGE_KEY_FILE = "challenge.key"


@dataclass(frozen=True, slots=True)
class Limits:
    """Sizes in bytes, times in milliseconds; staged_* and pending_stops are for one owner."""

    upload_bytes: int = 512 << 20
    staged_files: int = 32
    staged_bytes: int = 2 << 30
    object_bytes: int = 256 << 20
    session_ms: int = 12 * 3600_000
    challenge_ms: int = 5 * 60_000
    link_ms: int = 5 * 60_000
    staged_ms: int = 24 * 3600_000
    quote_ms: int = 30 * 60_000
    payment_ms: int = 24 * 3600_000
    owners_ms: int = 14 * 24 * 3600_000
    lease_ms: int = 60_000
    resend_ms: int = 15_000
    attempts: int = 5
    ingest_quiet_ms: int = 1_000
    ingest_wait_ms: int = 5_000
    reviewers: int = 2
    pending_stops: int = 1_000
    part_bytes: int = 8 << 20
    parts: int = 4096
    vault_bytes: int = 4 << 20


@dataclass(frozen=True, slots=True)
class Fees:
    """Published fees and weights; an order can be priced in the currencies of `compute_in`.

    compute: minor units of gbp per order; compute_in: of other currencies. platform_percent: of
    data. weights: modality -> whole number a price is multiplied by; what is not there counts 1.
    """

    compute: int = 500
    platform_percent: int = 10
    compute_in: Mapping[str, int] = field(
        default_factory=lambda: {"eur": 600, "usd": 650, "chf": 600, "jpy": 1000}
    )
    weights: Mapping[str, int] = field(default_factory=dict)

    def compute_fee(self, currency: str) -> int | None:
        """Return the flat fee in a currency's minor units, or None where it is not offered."""
        return self.compute if currency == "gbp" else self.compute_in.get(currency)

    @property
    def currencies(self) -> tuple[str, ...]:
        """Return what an order can be priced in."""
        return ("gbp", *sorted(self.compute_in))


@dataclass(frozen=True, slots=True)
class StripeConfig:
    """Where payments go: the development server, or Stripe's own address.

    live: real money was asked for; the key then comes from OMIC_STRIPE_KEY only, never a file.
    methods: Stripe's names of payment methods, none for all that are switched on at Stripe.
    tax: let Stripe Tax add tax; receipts: let Stripe send an invoice for what is paid.
    """

    base_url: str
    key_file: Path
    webhook_secret_file: Path
    live: bool = False
    methods: tuple[str, ...] = ()
    tax: bool = False
    tax_code: str | None = None
    receipts: bool = False


@dataclass(frozen=True, slots=True)
class PayoutConfig:
    """When owners are paid. minimum: whole units of the currency, below which a share waits."""

    period_ms: int = 7 * 24 * 3600_000
    minimum: int = 20


@dataclass(frozen=True, slots=True)
class InvoiceConfig:
    """What stands on an invoice: who is to be paid, where, and within how many days.

    address, tax_id: of the payee, as a buyer's accounts department asks for them.
    """

    payee: str = "Omic Market (TEST MONEY)"
    address: str | None = None
    tax_id: str | None = None
    bank: str = "No bank account is configured: nothing can be transferred."
    terms_days: int = 30


@dataclass(frozen=True, slots=True)
class MarketConfig:
    """Everything the server is told; see the directory contract for the keys of config.toml.

    sign_in_rp_id: the domain sign-in passkeys are of, shared by the pages and the key origin; "" is
    the trust file's, as where both are localhost.
    """

    directory: Path
    port: int
    public_url: str
    database_url: str
    object_store_url: str
    broker_url: str
    ledger_url: str
    trust_file: Path
    ledger_token_file: Path
    worker_token_file: Path
    stripe: StripeConfig
    host: str = "127.0.0.1"
    limits: Limits = field(default_factory=Limits)
    fees: Fees = field(default_factory=Fees)
    payouts: PayoutConfig = field(default_factory=PayoutConfig)
    invoices: InvoiceConfig = field(default_factory=InvoiceConfig)
    rate_limit: str = "12000 per minute"
    stop_rate_limit: str = "120 per minute"
    challenge_key_file: Path | None = None
    keys_url: str = ""
    sign_in_rp_id: str = ""
    reference_dir: Path | None = None

    @property
    def keys_origin(self) -> str:
        """Return the origin where browsers handle keys, no last slash; "" if there is none."""
        return self.keys_url.rstrip("/")

    @property
    def signing_key_file(self) -> Path:
        """Return where the marketplace's own signing key lies."""
        return self.directory / SIGNING_KEY_FILE

    @property
    def challenge_file(self) -> Path:
        """Return where the challenges' secret is; instances of one market share its contents."""
        return self.challenge_key_file or self.directory / CHALLENGE_KEY_FILE

    @property
    def origin(self) -> str:
        """Return what session challenges are bound to: the public URL without a last slash."""
        return self.public_url.rstrip("/")


def default_settings(port: int) -> dict[str, Any]:
    """Return what `init` writes: the embedded layout on loopback."""
    return {
        "port": port,
        "public_url": f"http://localhost:{port}",
        "database_url": "sqlite:///marketplace.sqlite",
        "object_store_url": "objects",
        "broker_url": "filesystem://../broker",
        "ledger_url": f"http://127.0.0.1:{port + 1}",
        "trust_file": "../trust/trust.json",
        "ledger_token_file": "ledger.token",
        "worker_token_file": "worker.token",
        "stripe": {
            "base_url": f"http://127.0.0.1:{port + 2}",
            "key_file": "stripe.key",
            "webhook_secret_file": "stripe.webhook",
        },
    }


def format_toml(settings: Mapping[str, Any]) -> str:
    """Write settings (strings, integers, one level of tables) as TOML."""
    plain = [f"{k} = {_toml(v)}" for k, v in settings.items() if not isinstance(v, Mapping)]
    tables = [
        "\n".join([f"\n[{name}]", *(f"{k} = {_toml(v)}" for k, v in table.items())])
        for name, table in settings.items()
        if isinstance(table, Mapping)
    ]
    return "\n".join([*plain, *tables]) + "\n"


def _toml(value: Any) -> str:
    if isinstance(value, int):
        return str(value)
    escaped = str(value).replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


def load_config(directory: Path, environment: Mapping[str, str] | None = None) -> MarketConfig:
    """Read config.toml and the OMIC_* overrides. Raises ConfigError naming the file and key."""
    path = directory / "config.toml"
    try:
        values = tomllib.loads(path.read_text())
    except FileNotFoundError:
        raise ConfigError(
            f"{path} is missing: run `python -m marketplace.server init --dir {directory}` first"
        ) from None
    except (tomllib.TOMLDecodeError, OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path} cannot be read: {error}") from None
    environment = os.environ if environment is None else environment
    for name, variable in ENVIRONMENT.items():
        if chosen := environment.get(variable):
            values[name] = chosen
    try:
        return _config(directory.absolute(), values)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise ConfigError(f"{path} lacks a key or has one of a wrong kind: {error}") from None


def _config(here: Path, values: Mapping[str, Any]) -> MarketConfig:
    stripe = values["stripe"]
    return MarketConfig(
        directory=here,
        port=int(values["port"]),
        public_url=str(values["public_url"]),
        database_url=_sqlite_here(str(values["database_url"]), here),
        object_store_url=_path_here(str(values["object_store_url"]), here),
        broker_url=str(values["broker_url"]),
        ledger_url=str(values["ledger_url"]),
        trust_file=here / values["trust_file"],
        ledger_token_file=here / values["ledger_token_file"],
        worker_token_file=here / values["worker_token_file"],
        stripe=StripeConfig(
            base_url=str(stripe["base_url"]),
            key_file=here / stripe["key_file"],
            webhook_secret_file=here / stripe["webhook_secret_file"],
            live=bool(stripe.get("live", False)),
            methods=tuple(stripe.get("methods", ())),
            tax=bool(stripe.get("tax", False)),
            tax_code=stripe.get("tax_code"),
            receipts=bool(stripe.get("receipts", False)),
        ),
        host=str(values.get("host", "127.0.0.1")),
        limits=Limits(**values.get("limits", {})),
        fees=Fees(**values.get("fees", {})),
        payouts=PayoutConfig(**values.get("payouts", {})),
        invoices=InvoiceConfig(**values.get("invoices", {})),
        rate_limit=str(values.get("rate_limit", "12000 per minute")),
        stop_rate_limit=str(values.get("stop_rate_limit", "120 per minute")),
        challenge_key_file=here / values.get("challenge_key_file", CHALLENGE_KEY_FILE),
        keys_url=str(values.get("keys_url", "")),
        sign_in_rp_id=str(values.get("sign_in_rp_id", "")),
        reference_dir=here / values.get("reference_dir", here.parent / "reference"),
    )


def _sqlite_here(url: str, here: Path) -> str:
    prefix = "sqlite:///"
    if url.startswith(prefix) and not url.startswith(prefix + "/"):
        return f"{prefix}{here / url.removeprefix(prefix)}"
    return url


def _path_here(url: str, here: Path) -> str:
    path = url.removeprefix("file://")
    return url if "://" in path else str(here / path)


def read_secret(path: Path, what: str) -> str:
    """Read a secret's file. Raises ConfigError when it is missing or others may read it."""
    try:
        mode = path.stat().st_mode
        text = path.read_text().strip()
    except (OSError, UnicodeDecodeError):
        raise ConfigError(f"the {what} cannot be read from {path}; put it there first") from None
    if stat.S_IMODE(mode) & 0o077:
        raise ConfigError(f"others may read the {what} in {path}; run: chmod 600 {path}")
    if not text:
        raise ConfigError(f"{path} is empty; it must hold the {what}")
    return text


def stripe_key(config: StripeConfig, environment: Mapping[str, str] | None = None) -> str:
    """Return the payment key: OMIC_STRIPE_KEY if it is set, else the file's test key.

    Raises ConfigError for a live key in a file, and for one that nobody asked for.
    """
    environment = os.environ if environment is None else environment
    given = environment.get(STRIPE_KEY)
    key = given or read_secret(config.key_file, "payment key")
    if key.startswith(LIVE_KEYS) and not given:
        raise ConfigError(
            f"{config.key_file} holds a live key; take it out of the file and give it in the "
            f"environment variable {STRIPE_KEY}"
        )
    if key.startswith(LIVE_KEYS) and not config.live:
        raise ConfigError(
            f"{STRIPE_KEY} holds a live key, and real money was not asked for; "
            "write live = true under [stripe] in config.toml, or use a test key"
        )
    return key
