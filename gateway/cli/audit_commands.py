"""placeholder"""

import typer

audit_app = typer.Typer()


@audit_app.command()
def show(node: str = "", last: int = 5) -> None:
    pass


@audit_app.command()
def verify(node: str = "") -> None:
    pass
