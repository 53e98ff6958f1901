"""Benchmarks against other libraries, on the machine of whoever runs them: ``python -m weightsharing bench``."""
