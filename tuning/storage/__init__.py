"""Durable files, SQLite files, the state folder."""
