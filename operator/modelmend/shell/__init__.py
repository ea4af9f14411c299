"""The process around the loop: kopf's watches, probes, metrics, logs, signals.

The only room that imports kopf, and kopf does one thing here: it watches. Handlers put objects into the registry and
keys into the queue; what kopf would store, post or decide by itself is turned off.
"""
