"""Plain clients, which speak the wire of the NeMo Agent Toolkit and nothing else."""
