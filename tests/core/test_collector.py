"""Python's search for garbage while a simulation is entered."""

import subprocess
import sys

SELDOM = """
import gc
from pytest_durable import Simulation
before = gc.get_threshold()
first, second = Simulation(), Simulation()
first.__enter__()
assert gc.get_threshold() == (10_000, *before[1:])
second.__enter__()
first.close()
second.close()
first.close()
assert gc.get_threshold() == before
gc.set_threshold(0)
with Simulation():
    assert gc.get_threshold()[0] == 0
gc.set_threshold(50_000)
with Simulation():
    assert gc.get_threshold()[0] == 50_000
"""


def test_garbage_is_looked_for_less_often():
    """And as before, as soon as the last simulation has ended; who has switched it off, or has more, keeps that."""
    subprocess.run([sys.executable, "-c", SELDOM], check=True, timeout=60)
