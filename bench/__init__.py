"""What the project claims of itself, measured: `make bench` and `make bench-cluster`, figures in docs/figures.md."""
