"""Plain clients, which speak only the wire protocol of the NeMo Agent Toolkit."""
