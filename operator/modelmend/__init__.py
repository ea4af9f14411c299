"""Modelmend: a Kubernetes operator that keeps machine-learning models healthy."""
