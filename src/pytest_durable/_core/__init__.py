"""The kernel: a deterministic world of durable runs. Standard library only; no clock, chance, thread or file."""
