"""What the HTTP services share: error shape, serving, sockets that drop slow readers."""
