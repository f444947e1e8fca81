"""A benchmark in words, tables, pictures, and in MLflow."""
