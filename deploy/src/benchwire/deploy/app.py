"""The `benchwire` command."""

import typer

from benchwire.deploy.demo import demo
from benchwire.deploy.doc.app import app as doc
from benchwire.deploy.doctor import doctor
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
for command in (up, demo, run, tail, doctor):
    app.command()(command)
app.command()(export)
app.command("import")(import_)
app.add_typer(doc, name="doc")
app.add_typer(session, name="session")
app.add_typer(token, name="token")
