"""Every fault of a provider beside what the client has to see of it: the table behind test_faults.py.

A row is played on its own host with its own pool, so that rows may run at the same time and one row's
cooldowns are nobody else's.
"""

from tests.e2e.fault_after import AFTER
from tests.e2e.fault_before import BEFORE
from tests.e2e.fault_forms import FORMS

ROWS = (*BEFORE, *AFTER, *FORMS)
