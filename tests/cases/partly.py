"""Users that reject some answers, each in another way, and accept a status that is an error elsewhere."""

from locust import FastHttpUser, HttpUser, constant, task


class Rejecting(HttpUser):
    wait_time = constant(0.01)

    def on_start(self):
        self.client.post("/login", json={"user": "a", "password": "b"})

    @task
    def called_a_failure(self):
        with self.client.get("/a", catch_response=True) as answer:
            answer.failure("no price in it")

    @task(5)
    def asked(self):
        self.client.get("/b")


class Asserting(FastHttpUser):
    wait_time = constant(0.01)

    @task
    def asserted(self):
        with self.client.get("/c", catch_response=True) as answer:
            assert answer.status_code == 404, "found what is not there"

    @task(5)
    def sent(self):
        self.client.put("/d", data="x" * 2000)
