"""Upkeep: what the world must look like for a status, and the actions that make it so.

Level-based: nothing here remembers an event. Servers, front, Jobs and records are compared with what exists, so a
crash, a hand edit and the first creation are one and the same case.
"""
