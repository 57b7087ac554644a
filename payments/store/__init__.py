"""Payments' own database, on SQLite or PostgreSQL: tables, migrations, and one repository per kind of row."""
