"""Finds what the tests of the Python clients share."""

import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).parent.parent / "clients"))
