"""Alembic environment of the compute worker's tables (and of no other package's)."""

from alembic import context

from compute.tables import METADATA, TABLES, VERSION_TABLE, open_engine

OWN = {table.name for table in TABLES}


def _own(item, name, kind, _reflected, _other):
    return kind != "table" or name in OWN


def run() -> None:
    url = context.config.attributes["url"]
    engine = open_engine(url)
    with engine.begin() as connection:
        context.configure(
            connection=connection,
            target_metadata=METADATA,
            render_as_batch=True,
            include_object=_own,
            version_table=VERSION_TABLE,
            transactional_ddl=True,
        )
        with context.begin_transaction():
            context.run_migrations()
    engine.dispose()


run()
