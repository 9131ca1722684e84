"""The entry of the `benchwire` command. Imports nothing heavy: Ctrl-C has to be quiet from the first moment on."""

import signal


def main() -> None:
    """Runs the command line; the exit code is the command's."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)  # until a command takes over, there is nothing to end in order
    from benchwire.deploy.app import app  # noqa: PLC0415 - Ctrl-C has to be quiet before this

    app()
