"""The text of a small study file, for tests that write one."""

STUDY = '''"""A study."""

from tuning import Int, Minimize, Study


def units(n):
    return n * 2


def build(n=1):
    """Return a model."""
    return units(n)


def data():
    return None


STUDY = Study(
    name="small",
    builder=build,
    data=data,
    objective=Minimize("val_loss"),
    space={"n": Int(1, 9)},
    trials=3,
)
'''
