"""The `benchwire` command."""

import typer

from benchwire.deploy.board.app import app as board
from benchwire.deploy.demo import demo
from benchwire.deploy.doc.app import app as doc
from benchwire.deploy.doctor import doctor
from benchwire.deploy.hardware.devices import devices
from benchwire.deploy.hardware.flash import flash
from benchwire.deploy.hardware.jobs import app as jobs
from benchwire.deploy.hardware.lease import app as lease
from benchwire.deploy.hardware.monitor import monitor
from benchwire.deploy.run import run
from benchwire.deploy.session.app import app as session
from benchwire.deploy.tail import tail
from benchwire.deploy.token import token
from benchwire.deploy.transfer import export, import_
from benchwire.deploy.up import up

app = typer.Typer(
    help="A hardware lab on one machine, or many.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
# Each command is a typer function of the module of its name.
for command in (up, demo, run, devices, flash, monitor, tail, doctor):
    app.command()(command)
app.command()(export)
app.command("import")(import_)
app.add_typer(board, name="board")
app.add_typer(lease, name="lease")
app.add_typer(jobs, name="jobs")
app.add_typer(doc, name="doc")
app.add_typer(session, name="session")
app.add_typer(token, name="token")
