"""What all tests share: pytester, and Hypothesis without chance, deadlines or files."""

from hypothesis import settings

pytest_plugins = ["pytester"]

settings.register_profile("deterministic", derandomize=True, deadline=None, database=None)
settings.load_profile("deterministic")
