import pytest
@pytest.fixture
def durable(request):
    from .simulation import Simulation
    m = request.node.get_closest_marker("durable")
    kw = dict(m.kwargs) if m else {}
    for k in ("explore","faults","max_schedules"): kw.pop(k,None)
    with Simulation(**kw) as sim:
        yield sim
