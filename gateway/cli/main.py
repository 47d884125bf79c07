"""``credit-gateway``: the entry of the command line, and the one place where errors become exit codes."""

from __future__ import annotations

import os
import sys
import traceback

import typer

from gateway.cli.command_table import CommandTable
from gateway.cli.output import EXIT_DEFECT, EXIT_WRONG, complain
from gateway.errors import GatewayError
from gateway.node.private_memory import keep_memory_private

app = typer.Typer(
    name="credit-gateway",
    cls=CommandTable,
    help="Connects a province's credit bank with those of its peers: signed queries, translated "
    "records, a provable audit log. Start with `credit-gateway demo` or `credit-gateway init`.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)


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
    """Run the command line; never ends in a traceback, nor in a core dump with keys or learners in it."""
    keep_memory_private()
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
