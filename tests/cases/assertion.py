"""A user that calls every answer a failure."""

from locust import HttpUser, constant, task


class U(HttpUser):
    wait_time = constant(0.02)

    @task
    def t(self):
        with self.client.get("/", catch_response=True) as r:
            if r.elapsed.total_seconds() > 0.000001:
                r.failure("too slow")
