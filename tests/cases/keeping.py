"""Users that keep their connections, as Locust's do."""

from locust import FastHttpUser, constant, task


class Keeping(FastHttpUser):
    wait_time = constant(0.01)

    @task
    def ask(self):
        self.client.get("/")
