class Report: pass
def explore(*a, **k): raise NotImplementedError
