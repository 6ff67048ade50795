"""The tasks of a checkout: ``invoke build …``; the code is the package ``litesmith``."""

from litesmith.cli.commands import namespace

ns = namespace(development=True)
