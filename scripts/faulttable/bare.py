"""The suite's bench with a bare mitmdump in rotator's place."""

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

from scripts.faulttable import redirect
from tests.e2e.proxy import Proxy
from tests.e2e.suite.bench import Bench, Cell, Stage
from tests.vendor import Vendor, VendorThread

# Neither names nor certificates of the hosts that are called are asked for: there is only the fake provider.
_OPTIONS = ("connection_strategy=lazy", "upstream_cert=false")


@contextmanager
def bare_bench(folder: Path, cells: Sequence[Cell], patience: float) -> Iterator[Bench]:
    """`patience`: seconds after which a client gives up, since nothing else ends a silence."""
    with VendorThread(Vendor(tls=True, default=Stage(cells))) as vendor, ExitStack() as running:

        def way(hasty: bool) -> Proxy:
            made = folder / f"bare-{'hasty' if hasty else 'patient'}"
            made.mkdir()
            options = (*_OPTIONS, f"ssl_verify_upstream_trusted_ca={vendor.ca_path}")
            return running.enter_context(
                Proxy(
                    made,
                    keys={redirect.PORT: str(vendor.port)},
                    options=[part for option in options for part in ("--set", option)],
                    scripts=(Path(redirect.__file__),),
                    named=False,
                )
            )

        playing = Bench(cells, vendor, way, patience)
        running.callback(playing.close)
        yield playing
