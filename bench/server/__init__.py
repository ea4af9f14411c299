"""What the server costs and gains, as ratios within one run: `python -m bench.server` with PYTHONPATH=operator.

Absolute figures belong to a machine and its other work; servers that are compared take turns within the same
seconds, so that both see the same machine.
"""
