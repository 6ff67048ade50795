"""The tasks of a checkout, for ``invoke build …``; the code is the package ``litesmith``."""

import sys

from litesmith.base import console
from litesmith.cli.commands import namespace

console.show_debug_output("--debug" in sys.argv)
ns = namespace(development=True)
