"""Files of records, row by row: CSV and JSON Lines, checked while they are read."""
