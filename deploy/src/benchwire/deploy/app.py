"""The `benchwire` command."""

import typer

from benchwire.deploy.demo import demo
from benchwire.deploy.doctor import doctor
from benchwire.deploy.run import run
from benchwire.deploy.tail import tail
from benchwire.deploy.up import up

app = typer.Typer(
    help="A hardware lab on one machine, or many.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
# Each command is a typer function of the module of its name.
for command in (up, demo, run, tail, doctor):
    app.command()(command)
