"""A planner that is killed while it records leaves files that can be read up to the last whole record."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from pathlib import Path

from dispatch.ticks.files import TickReader

_ROOT = Path(__file__).parents[2]
_WRITER = """
import sys
from pathlib import Path
from dispatch.ticks.files import TickFiles
from dispatch.ticks.recorder import Recorder
from tests.tick_samples import Samples

recorder = Recorder(TickFiles(Path(sys.argv[1])), "victim")
for tick in Samples(tasks=150, runners=80).ticks(1_000_000):
    while not recorder.put(tick):
        recorder.flush()
"""


def test_killed_in_the_middle_of_writing(tmp_path: Path) -> None:
    for round_number in range(3):
        folder = tmp_path / str(round_number)
        process = subprocess.Popen([sys.executable, "-c", _WRITER, str(folder)], cwd=_ROOT)
        try:
            wanted = 60_000 * (round_number + 1)
            deadline = time.monotonic() + 60
            while sum(path.stat().st_size for path in folder.glob("*/*.ticks")) < wanted:
                assert time.monotonic() < deadline and process.poll() is None
        finally:
            process.send_signal(signal.SIGKILL)
            process.wait()
        (path,) = folder.glob("*/*.ticks")
        reader = TickReader(path)
        found = list(reader.records())
        reader.close()
        assert found and reader.torn <= 1
        assert [tick.now_ms for tick in found] == [found[0].now_ms + 2000 * number for number in range(len(found))]
        reread = TickReader(path)
        last = reread.find(found[-1].id)
        reread.close()
        assert last == found[-1]
