"""``credit-gateway archive``: its commands, from the modules that have them."""

from gateway.cli import saved_archive
from gateway.cli.archive_commands import archive_app

archive_app.command("save")(saved_archive.save)
archive_app.command("open")(saved_archive.open_)
archive_app.command("compare")(saved_archive.compare_)
