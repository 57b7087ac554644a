"""What was booked stays as it is: the database itself refuses to change or drop an entry of the ledger."""

from __future__ import annotations

APPEND_ONLY = (
    """-- sqlite
    CREATE TRIGGER entries_are_not_changed BEFORE UPDATE ON entries
    BEGIN SELECT RAISE(ABORT, 'an entry of the ledger stays as it is'); END
    """,
    """-- sqlite
    CREATE TRIGGER entries_are_not_dropped BEFORE DELETE ON entries
    BEGIN SELECT RAISE(ABORT, 'an entry of the ledger stays as it is'); END
    """,
    """-- postgresql
    CREATE FUNCTION entries_stay() RETURNS trigger LANGUAGE plpgsql AS
    $$ BEGIN RAISE EXCEPTION 'an entry of the ledger stays as it is'; END $$
    """,
    """-- postgresql
    CREATE TRIGGER entries_are_not_changed BEFORE UPDATE OR DELETE ON entries
    FOR EACH ROW EXECUTE FUNCTION entries_stay()
    """,
    """-- postgresql
    CREATE TRIGGER entries_are_not_dropped BEFORE TRUNCATE ON entries
    FOR EACH STATEMENT EXECUTE FUNCTION entries_stay()
    """,
)
