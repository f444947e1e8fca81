"""MLflow's registry: a study's winners as versions of one model."""
