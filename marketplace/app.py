"""The composition root: the only place where the server's parts are put together.

Blueprints and their routes: /api/v1 (clients), /worker/v1 (workers), /stripe (provider),
/healthz, /openapi.json. Pages for people are a blueprint of their own and are registered here.
"""

import logging
import time
from pathlib import Path
from typing import Any

from apiflask import APIFlask
from flask_limiter import Limiter
from flask_limiter.util import get_remote_address

from ledger import Follower, LedgerClient, LedgerError, Snapshots, TrustPolicy
from marketplace import challenges, passkeys, rate_counters
from marketplace.api.browser import allow_key_origin, browser
from marketplace.api.common import install_errors, install_headers
from marketplace.api.document import PROBLEM_SCHEMA, complete
from marketplace.api.document_parts import ABOUT
from marketplace.api.payouts import earning, operating
from marketplace.api.protocol import install_protocol
from marketplace.api.rights import rights
from marketplace.api.v1 import api
from marketplace.api.webhook import webhook
from marketplace.api.worker import worker
from marketplace.broker import CelerySender
from marketplace.config import MarketConfig, read_secret, stripe_key
from marketplace.entries import load_signer
from marketplace.errors import ConfigError
from marketplace.objects import ObjectStore
from marketplace.payments import CheckoutOptions, Payments
from marketplace.services import Services
from marketplace.store import Database
from marketplace.view import LedgerView
from marketplace.web import install as install_pages

LOG = logging.getLogger(__name__)
JSON_BYTES = 1 << 20
STOPS = "v1.stop"
STRIPE_HOST = "https://api.stripe.com"


def now_ms() -> int:
    """Return the wall clock in Unix milliseconds."""
    return time.time_ns() // 1_000_000


def compose(config: MarketConfig) -> Services:
    """Open everything the configuration names. Raises ConfigError, UnavailableError."""
    trust = _trust(config.trust_file)
    passkeys.check_apart(config, trust)
    signer = load_signer(config.signing_key_file)
    if signer.public_key not in trust.pins.marketplace:
        raise ConfigError(
            f"the key in {config.signing_key_file} is not pinned as marketplace in "
            f"{config.trust_file}; nobody would accept its entries"
        )
    db = Database(config.database_url)
    db.migrate()
    client = LedgerClient(config.ledger_url, read_secret(config.ledger_token_file, "ledger token"))
    challenge_key = challenges.load_key(config.challenge_file)
    follower = Follower(
        client,
        trust,
        config.directory / "follower.json",
        True,
        now_ms,
        snapshots=Snapshots(config.directory / "fold.snapshot", challenge_key),
    )
    return Services(
        config=config,
        db=db,
        objects=ObjectStore.open(config.object_store_url),
        ledger=client,
        view=LedgerView(follower, now_ms),
        payments=_payments(config),
        signer=signer,
        sender=CelerySender(config.broker_url, config.directory, str(config.port)),
        trust=trust,
        worker_token=read_secret(config.worker_token_file, "worker token"),
        challenge_key=challenge_key,
        clock=now_ms,
    )


def _trust(path: Path) -> TrustPolicy:
    try:
        return TrustPolicy.load(path)
    except LedgerError as error:
        raise ConfigError(f"the trust policy cannot be used: {error}") from None


def _payments(config: MarketConfig) -> Payments:
    base = config.stripe.base_url
    chosen = config.stripe
    return Payments(
        stripe_key(chosen),
        base_url=None if base == STRIPE_HOST else base,
        webhook_secret=read_secret(config.stripe.webhook_secret_file, "webhook secret"),
        success_url=f"{config.origin}/orders?paid=1",
        cancel_url=f"{config.origin}/orders?cancelled=1",
        allow_live=chosen.live,
        options=CheckoutOptions(chosen.methods, chosen.tax, chosen.tax_code, chosen.receipts),
    )


def create_app(services: Services) -> APIFlask:
    """Return the WSGI app over these services."""
    app = APIFlask("marketplace", title="Omic Market", version="1.0", docs_path=None)
    app.extensions["omic"] = services
    _configure(app, services.config)
    install_errors(app)
    install_headers(app, services.config)
    install_protocol(app)
    allow_key_origin(app, services.config)
    limiter = _limiter(app, services.config)
    for blueprint in (api, browser, rights, earning, operating, worker, webhook):
        app.register_blueprint(blueprint)
    stop_limit = limiter.limit(services.config.stop_rate_limit)
    views: dict[str, Any] = app.view_functions
    views[STOPS] = stop_limit(views[STOPS])
    limiter.exempt(worker)
    limiter.exempt(webhook)
    install_pages(app, services)
    app.get("/healthz")(app.doc(hide=True)(_healthz))
    return app


def _healthz() -> dict[str, str]:
    """Say that the server answers."""
    return {"status": "ok"}


def _configure(app: APIFlask, config: MarketConfig) -> None:
    app.config.update(
        MAX_CONTENT_LENGTH=JSON_BYTES,
        OPENAPI_VERSION="3.1.0",
        VALIDATION_ERROR_STATUS_CODE=400,
        VALIDATION_ERROR_SCHEMA=PROBLEM_SCHEMA,
        HTTP_ERROR_SCHEMA=PROBLEM_SCHEMA,
        LOCAL_SPEC_PATH=None,
        AUTO_OPERATION_ID=True,
        AUTO_SERVERS=False,
    )
    app.description = ABOUT
    app.servers = [{"url": config.origin}]
    app.license = {"name": "Apache-2.0", "identifier": "Apache-2.0"}
    app.external_docs = {"description": "for people", "url": f"{config.origin}/docs/api"}
    app.security_schemes = {
        "session": {"type": "http", "scheme": "bearer", "description": "POST /api/v1/session"},
        "worker": {"type": "http", "scheme": "bearer", "description": "the worker token"},
        "link": {"type": "http", "scheme": "bearer", "description": "a share's secret, after #"},
    }
    app.spec_processor(complete)


def _limiter(app: APIFlask, config: MarketConfig) -> Limiter:
    """Limit requests by address, in this process's memory: a brake, not a wall."""
    return Limiter(
        get_remote_address,
        app=app,
        default_limits=[config.rate_limit],
        storage_uri=f"{rate_counters.SCHEME}://",
    )
