"""Three users for ever, by a shape of the locustfile's own; each keeps its connection."""

from locust import HttpUser, LoadTestShape, constant, task


class U(HttpUser):
    wait_time = constant(0.01)

    @task
    def t(self):
        self.client.get("/")


class Steps(LoadTestShape):
    def tick(self):
        return (3, 100) if self.get_run_time() < 20 else None
