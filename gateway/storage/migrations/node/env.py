"""Alembic's entry: runs on the connection that ``gateway.storage.migrate`` hands over."""

from alembic import context

config = context.config
context.configure(
    connection=config.attributes["connection"],
    version_table=config.attributes["version_table"],
)
context.run_migrations()
