"""The page for others than oneself: TLS, names, accounts, and the login in front of MLflow's."""
