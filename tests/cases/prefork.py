"""An application of four processes, each of which answers with a name of its own."""

import os
import socket

listener = socket.create_server(("", int(os.environ["PORT"])))
for _ in range(3):
    if os.fork() == 0:
        break
while True:
    connection, _ = listener.accept()
    with connection:
        connection.recv(4096)
        body = b"worker %d of %s\n" % (os.getpid(), os.environ["INSTANCE"].encode())
        connection.sendall(
            b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body)
        )
