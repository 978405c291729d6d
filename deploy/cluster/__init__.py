"""A Kubernetes cluster of two nodes on one Linux machine: ``python -m deploy.cluster``."""
