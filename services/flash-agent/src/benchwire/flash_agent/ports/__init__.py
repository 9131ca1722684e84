"""Serial ports, opened: of this host, behind a socket, or behind RFC 2217. All are read without pause and written with a deadline.

A port that has a file descriptor (a tty, ``socket://``) is read by the event loop. One that has none (``rfc2217://``: pyserial speaks the
protocol in threads of its own) is read by a thread.
"""
