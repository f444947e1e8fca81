"""What only a GPU can show, checked on one: `make gpu-check` writes `docs/gpu.md`."""
