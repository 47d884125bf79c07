"""The only home of SQL: engines, tables, migrations and the rows of each store."""
