"""``credit-gateway``: the entry of the command line, and the one place where errors become exit codes."""

from __future__ import annotations

import os
import sys
import traceback

import typer

from gateway.cli import (
    audit_evidence_commands,
    audit_trust_commands,
    backup_commands,
    certificate_commands,
    changes_commands,
    config_commands,
    conformance_commands,
    console_commands,
    locate_commands,
    node_commands,
    peers_commands,
    portal_commands,
    query_commands,
    report_commands,
    saved_archive,
)
from gateway.cli.access_commands import access_app
from gateway.cli.archive_commands import archive_app
from gateway.cli.audit_commands import audit_app
from gateway.cli.code_commands import code_app
from gateway.cli.consent_commands import consent_app
from gateway.cli.demo_commands import demo
from gateway.cli.keys_commands import keys_app
from gateway.cli.output import EXIT_DEFECT, EXIT_WRONG, complain
from gateway.cli.records_commands import records_app
from gateway.cli.scheme_commands import scheme_app
from gateway.cli.storage_commands import storage_app
from gateway.errors import GatewayError

app = typer.Typer(
    name="credit-gateway",
    help="Connects a province's credit bank with those of its peers: signed queries, translated "
    "records, a provable audit log. Start with `credit-gateway demo` or `credit-gateway init`.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
app.command()(node_commands.init)
app.command()(node_commands.check)
app.command()(node_commands.serve)
app.command()(node_commands.card)
app.command()(query_commands.query)
app.command()(certificate_commands.certificate)
app.command()(locate_commands.locate)
app.command()(changes_commands.changes)
app.command()(conformance_commands.conformance)
app.command("console")(console_commands.console_pages)
app.command("portal")(portal_commands.portal)
app.command()(report_commands.report)
app.command()(backup_commands.backup)
app.command()(backup_commands.restore)
app.command()(demo)
archive_app.command("save")(saved_archive.save)
archive_app.command("open")(saved_archive.open_)
archive_app.command("compare")(saved_archive.compare_)
audit_app.command("export")(audit_evidence_commands.export)
audit_app.command("prove")(audit_evidence_commands.prove)
audit_app.command("disclose")(audit_evidence_commands.disclose)
audit_app.command("subject")(audit_evidence_commands.subject)
audit_app.command("erase")(audit_evidence_commands.erase)
audit_app.command("reconcile")(audit_trust_commands.reconcile)
audit_app.command("witness")(audit_trust_commands.witness)
audit_app.command("accept-rollback")(audit_trust_commands.accept_rollback_command)
app.add_typer(peers_commands.peers_app, name="peers")
app.add_typer(records_app, name="records")
app.add_typer(scheme_app, name="scheme")
app.add_typer(archive_app, name="archive")
app.add_typer(audit_app, name="audit")
app.add_typer(consent_app, name="consent")
app.add_typer(code_app, name="code")
app.add_typer(access_app, name="access")
app.add_typer(keys_app, name="keys")
app.add_typer(storage_app, name="storage")
app.add_typer(config_commands.config_app, name="config")


@app.callback(invoke_without_command=True)
def version(
    context: typer.Context,
    show: bool = typer.Option(False, "--version", help="Print the version and end."),
) -> None:
    """Handle the options that stand before a command."""
    if show:
        from gateway import __version__

        typer.echo(__version__)
        raise typer.Exit
    if context.invoked_subcommand is None:
        typer.echo(context.get_help())


def run() -> None:
    """Run the command line; never ends in a traceback."""
    try:
        app()
    except GatewayError as error:
        complain(f"credit-gateway: {error.message}")
        if error.remedy:
            complain(error.remedy)
        sys.exit(EXIT_WRONG)
    except KeyboardInterrupt:
        complain("interrupted")
        sys.exit(130)
    except BrokenPipeError:
        # Whoever read our output has gone, for example `| head`.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(EXIT_WRONG)
    except Exception as defect:  # noqa: BLE001 - a person gets a sentence, never a traceback
        places = traceback.extract_tb(defect.__traceback__)
        where = next((f"{p.filename.rsplit('/', 1)[-1]}:{p.lineno}" for p in reversed(places)), "?")
        complain(f"credit-gateway: a defect of this program ({type(defect).__name__} at {where}).")
        complain("Please report it with the command that you ran; nothing that was running was harmed.")
        sys.exit(EXIT_DEFECT)


if __name__ == "__main__":
    run()
