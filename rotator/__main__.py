"""The command `rotator`, as `python -m rotator`, and as a file: `python -P rotator/__main__.py`."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # a checkout need not be installed

from rotator.main import app

if __name__ == "__main__":
    app(prog_name="rotator")
