"""The words that the operator and the model pods share, and nothing else.

Metric and label names, the environment of a pod, the artifact's manifest, the result of a Job. Both sides
import this room and neither imports the other: a trainer or a server in another language needs only what
stands here. May import pydantic; nothing of Modelmend.
"""
