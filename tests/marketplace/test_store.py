"""The store's contract: migrations, constraints and transactions, on SQLite and PostgreSQL."""

import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
from alembic import command
from sqlalchemy import text
from sqlalchemy.exc import IntegrityError

from marketplace.errors import ConfigError, UnavailableError
from marketplace.store import Database, Turn, alembic_config, normal_url
from marketplace.tables import METADATA, Account, WebhookEvent

NOW = 1_800_000_000_000


def test_the_migrations_make_exactly_the_tables(db):
    with db.engine.begin() as connection:
        command.check(alembic_config(connection))


def test_migrations_go_down_and_up_again(db):
    with db.engine.begin() as connection:
        command.downgrade(alembic_config(connection), "base")
    with db.engine.begin() as connection:
        assert "orders" not in db.engine.dialect.get_table_names(connection)
    db.migrate()
    with db.engine.begin() as connection:
        assert set(METADATA.tables) <= set(db.engine.dialect.get_table_names(connection))


def test_several_processes_may_migrate_at_once(db):
    with db.engine.begin() as connection:
        command.downgrade(alembic_config(connection), "base")
    others = [Database(db.url) for _ in range(3)]
    with ThreadPoolExecutor(3) as pool:
        list(pool.map(lambda one: one.migrate(), others))
    for one in others:
        one.close()
    with db.read() as session:
        assert session.get(Account, "x") is None


def test_a_failed_block_leaves_nothing(db):
    with pytest.raises(RuntimeError), db.write() as session:
        session.add(Account(party="p", role="owner", created_at=NOW))
        session.flush()
        raise RuntimeError
    with db.read() as session:
        assert session.get(Account, "p") is None


def test_a_provider_event_is_stored_once_however_many_try(db):
    barrier = threading.Barrier(8)

    def note(_):
        barrier.wait()
        try:
            with db.write() as session:
                session.add(WebhookEvent(id="evt_1", type="t", received_at=NOW))
        except IntegrityError:
            return 0
        return 1

    with ThreadPoolExecutor(8) as pool:
        assert sum(pool.map(note, range(8))) == 1


def test_what_a_reader_changes_is_thrown_away(db):
    with db.read() as session:
        session.add(Account(party="p", role="owner", created_at=NOW))
        session.flush()
    with db.read() as session:
        assert session.get(Account, "p") is None


def test_times_and_money_beyond_32_bits_survive(db):
    with db.write() as session:
        session.add(Account(party="p", role="owner", created_at=2**52))
    with db.read() as session:
        assert session.get(Account, "p").created_at == 2**52


def test_sqlite_runs_with_the_pragmas_we_rely_on(tmp_path):
    db = Database(f"sqlite:///{tmp_path / 'm.sqlite'}")
    with db.read() as session:
        pragmas = {
            name: session.execute(text(f"PRAGMA {name}")).scalar()
            for name in ("journal_mode", "foreign_keys", "busy_timeout", "synchronous")
        }
    db.close()
    assert pragmas == {
        "journal_mode": "wal",
        "foreign_keys": 1,
        "busy_timeout": 10_000,
        "synchronous": 2,
    }


def test_urls_name_our_drivers():
    assert normal_url("postgresql://u@h/d") == "postgresql+psycopg://u@h/d"
    assert normal_url("sqlite:///x.sqlite") == "sqlite:///x.sqlite"
    with pytest.raises(ConfigError):
        normal_url("not a url")


def test_a_database_that_cannot_be_reached_is_named(tmp_path):
    db = Database(f"sqlite:///{tmp_path / 'missing' / 'm.sqlite'}")
    with pytest.raises(UnavailableError, match="database_url"):
        db.migrate()


def test_a_turn_goes_to_whoever_asked_first():
    turn, order, threads = Turn(), [], []

    def wait(name):
        with turn:
            order.append(name)

    with turn:
        for name in range(5):
            threads.append(threading.Thread(target=wait, args=(name,)))
            threads[-1].start()
            while len(turn._waiting) <= name:
                time.sleep(0.001)
    with turn:  # asked last, so not before them
        order.append("last")
    for thread in threads:
        thread.join()
    assert order == [0, 1, 2, 3, 4, "last"]


def test_a_turn_is_free_again_after_an_error():
    turn = Turn()
    with pytest.raises(ValueError, match="oops"), turn:
        raise ValueError("oops")
    with turn:
        pass
