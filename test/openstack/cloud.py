"""A client of the cloud's APIs, as thin as can be: a session that is logged in,
one method per HTTP verb, and waiting. Where the cloud is comes from CLOUD_BASE
(its first port) and CLOUD_PASSWORD, which lib/cloud.sh sets."""
import os
import time

import requests

BASE = int(os.environ["CLOUD_BASE"])
PASSWORD = os.environ["CLOUD_PASSWORD"]
PORTS = {"keystone": 5, "glance": 6, "cinder": 7, "placement": 8, "nova": 9}


def url(service):
    return "http://127.0.0.1:%d" % (BASE + PORTS[service])


class Refused(Exception):
    """An answer with another status than was wanted."""

    def __init__(self, method, where, answer):
        super().__init__("%s %s: %d %s" % (method, where, answer.status_code, answer.text[:400]))
        self.status = answer.status_code


class Cloud:
    """The administrator's view of the cloud."""

    def __init__(self):
        self.http = requests.Session()
        self.http.trust_env = False
        self.keystone = url("keystone") + "/v3"
        answer = self.http.post(self.keystone + "/auth/tokens", timeout=60, json={"auth": {
            "identity": {"methods": ["password"], "password": {"user": {
                "name": "admin", "domain": {"name": "Default"}, "password": PASSWORD}}},
            "scope": {"project": {"name": "admin", "domain": {"name": "Default"}}}}})
        answer.raise_for_status()
        self.project = answer.json()["token"]["project"]["id"]
        self.http.headers.update({
            "X-Auth-Token": answer.headers["X-Subject-Token"],
            "OpenStack-API-Version": "volume 3.70",
            "X-OpenStack-Nova-API-Version": "2.90"})
        self.cinder = "%s/v3/%s" % (url("cinder"), self.project)
        self.glance = url("glance") + "/v2"
        self.nova = url("nova") + "/v2.1"

    def call(self, method, where, body=None, **options):
        """The decoded answer, None if it is empty. Raises Refused unless it is 2xx."""
        answer = self.http.request(method, where, json=body, timeout=300, **options)
        if not 200 <= answer.status_code < 300:
            raise Refused(method, where, answer)
        is_json = answer.headers.get("Content-Type", "").startswith("application/json")
        return answer.json() if answer.content and is_json else None

    def get(self, where):
        return self.call("GET", where)

    def post(self, where, body):
        return self.call("POST", where, body)

    def delete(self, where):
        return self.call("DELETE", where)


def until(what, test, seconds=120, pause=0.2):
    """The first true answer of test; fails with what after so many seconds."""
    end = time.monotonic() + seconds
    while True:
        answer = test()
        if answer:
            return answer
        if time.monotonic() > end:
            raise AssertionError("not within %d s: %s" % (seconds, what))
        time.sleep(pause)
