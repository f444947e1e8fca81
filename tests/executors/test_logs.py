"""What cannot be told apart from outside a worker."""

import subprocess
import sys
from textwrap import dedent

from tuning.executors.supervision.logs import cap


def test_a_write_that_ends_in_the_old_file_after_the_cut_is_cut_too(tmp_path):
    program = """
        import os, sys
        from pathlib import Path
        from tuning.executors.supervision.logs import CappedLog, cap
        log = CappedLog(Path(sys.argv[1]), cap_bytes=2000)
        under_way = os.dup(1)
        os.write(1, b"x" * 1500)
        log.rotate()
        os.write(under_way, b"y" * 1500)
        log.rotate()
    """
    subprocess.run(
        [sys.executable, "-c", dedent(program), tmp_path / "log"], check=True, timeout=20
    )
    assert sum(path.stat().st_size for path in tmp_path.iterdir()) <= 2000


def test_a_log_is_cut_from_without_while_its_writer_goes_on(tmp_path):
    path = tmp_path / "cpu.log"
    with path.open("ab", buffering=0) as log:
        log.write(b"x" * 3000)
        cap(path, 2000)
        assert path.stat().st_size == 1000
        log.write(b"end")
    assert path.read_bytes().endswith(b"xend")
    cap(tmp_path / "none.log", 2000)
