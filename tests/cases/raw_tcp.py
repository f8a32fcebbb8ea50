"""A user of plain TCP, which reports its requests by Locust's event, without a response."""

import socket
import time
from urllib.parse import urlparse

from locust import User, constant, task


class Tcp(User):
    wait_time = constant(0)
    host = "http://shop.example:80"

    @task
    def t(self):
        where = urlparse(self.environment.host or self.host)
        began, data, failure = time.perf_counter(), b"", None
        try:
            with socket.create_connection((where.hostname, where.port or 80), 2) as sock:
                sock.sendall(b"GET / HTTP/1.0\r\n\r\n")
                while part := sock.recv(4096):
                    data += part
        except OSError as error:
            failure = error
        self.environment.events.request.fire(
            request_type="TCP",
            name="echo",
            response_time=(time.perf_counter() - began) * 1000,
            response_length=len(data),
            exception=failure,
            context={},
            response=None,
        )
