"""Advice for people: what to write in a ModelDeployment before it is applied.

Called by cli alone. Knows the rules and the statistics, and neither a cluster nor a clock. Chance comes from a seed:
the same question gets the same answer.
"""
