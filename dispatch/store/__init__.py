"""The books: SQL tables, one module per aggregate, and transactions bound to one campus."""
