"""Users' own tables: every CSV and Parquet file that people have, as a `Dataset`."""

from tuning.data.tables.table import Table as Table  # study files import it from here
