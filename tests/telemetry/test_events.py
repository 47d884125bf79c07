"""Log lines: one JSON object a line, also of what libraries say."""

import json
import subprocess
import sys

CODE = """
import logging
from gateway.telemetry import events
events.configure("warning")
try:
    raise ValueError("of somebody")
except ValueError:
    logging.getLogger("sqlalchemy.pool").error("reset of %s failed", "something of somebody", exc_info=True)
logging.getLogger("asyncio").info("nothing that matters")
"""


def test_what_libraries_warn_of_is_a_line_without_traceback_or_values() -> None:
    done = subprocess.run([sys.executable, "-c", CODE], capture_output=True, text=True, check=True)
    (line,) = done.stderr.splitlines()
    event = json.loads(line)
    assert (event["part"], event["library"], event["error"]) == ("library", "sqlalchemy.pool", "ValueError")
    assert event["level"] == "warning"
    assert "somebody" not in line


REPLACED = """
import io, sys
from gateway.telemetry import events
first, second = io.StringIO(), io.StringIO()
sys.stderr = first
events.configure("warning")
log = events.logger("this")
log.warning("one")
sys.stderr = second
first.close()
log.warning("two")
sys.stdout.write(second.getvalue())
"""


def test_a_logger_outlives_the_stream_that_it_began_with() -> None:
    done = subprocess.run([sys.executable, "-c", REPLACED], capture_output=True, text=True, check=True)
    assert json.loads(done.stdout)["event"] == "two"
