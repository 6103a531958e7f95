"""mitmdump or mitmweb: `python proxy.py mitmdump OPTION...`, a program of its own, begun by its path.

Not by the script of that name, which lies elsewhere in each way to install it.
"""

import sys

from mitmproxy.tools import main

PROGRAMS = {"mitmdump": main.mitmdump, "mitmweb": main.mitmweb}

if __name__ == "__main__":
    del sys.argv[0]
    PROGRAMS[sys.argv[0]]()
