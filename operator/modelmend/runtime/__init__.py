"""What runs in model pods: the artifact, the server, the trainer. Knows nothing of Kubernetes.

May import contract and evidence. A pod learns everything from its environment (`contract.environment`) and
answers with files, metrics and its termination message; it holds no service-account token and calls no API.
"""
