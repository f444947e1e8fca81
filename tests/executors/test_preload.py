import importlib
import sys

import pytest

from tuning.executors.preload import _Deferred, _deferred


def test_what_was_put_off_is_imported_at_once_where_an_import_needs_it():
    with _deferred(("wsgiref", "wsgiref.util")):
        from wsgiref import util

        assert type(util) is _Deferred
        assert util.FileWrapper.__module__ == "wsgiref.util"
        assert type(sys.modules["wsgiref.util"]) is not _Deferred
    assert util.FileWrapper is sys.modules["wsgiref.util"].FileWrapper


def test_a_library_that_is_not_there_is_not_put_off():
    with _deferred(("surely_not_there",)), pytest.raises(ImportError):
        importlib.import_module("surely_not_there")
