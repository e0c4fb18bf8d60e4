"""What scripts/check-api and scripts/check-vendor-mock share: child processes on free ports, and Prism in proxy mode.

Prism passes every request on and writes what does not fit the document into the answer's `sl-violations` header. Run
without `--errors` it replaces no answer, so that also the answers to deliberately bad requests are held against the
document.
"""

import http.client
import json
import os
import select
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PRISM = ROOT / "node_modules/.bin/prism"
PATIENCE_S = 60


class Failed(Exception):
    """Why the check cannot go on."""


def need(program, how):
    if not Path(program).exists():
        raise Failed(f"{Path(program).relative_to(ROOT)} is missing: {how}")
    return str(program)


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Answer:
    def __init__(self, response):
        self.status = response.status
        self.headers = response.headers
        self.body = response.read()

    @property
    def json(self):
        return json.loads(self.body)

    def violations(self, of):
        """What Prism says of the `request` or of the `response`, one sentence each."""
        return [f"{'.'.join(map(str, each['location']))}: {each['message']}"
                for each in json.loads(self.headers.get("sl-violations", "[]")) if each["location"][0] == of]


def ask(port, method, path, body=None, headers=None, patience=PATIENCE_S):
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=patience)
    try:
        connection.request(method, path, body=body, headers=headers or {})
        return Answer(connection.getresponse())
    finally:
        connection.close()


class Stage:
    """Child processes and a temporary folder; all of it is gone at the end."""

    def __enter__(self):
        self.folder = Path(tempfile.mkdtemp(prefix="skyengine-check-"))
        self.folder.chmod(0o711)  # root's private PostgreSQL runs under another account, which must reach it
        self.children = []
        return self

    def __exit__(self, *_):
        for child in reversed(self.children):
            if child.poll() is None:
                child.terminate()
                try:
                    child.wait(timeout=30)
                except subprocess.TimeoutExpired:
                    child.kill()
        shutil.rmtree(self.folder, ignore_errors=True)

    def start(self, name, command, **more):
        log = open(self.folder / f"{name}.log", "wb")
        child = subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL, **more)
        child.log = self.folder / f"{name}.log"
        self.children.append(child)
        return child

    def wait_for(self, child, what, holds):
        """Asks until `holds`; a child that ended or stays silent fails the check with its log."""
        until = time.monotonic() + PATIENCE_S
        while time.monotonic() < until and child.poll() is None:
            try:
                if holds():
                    return
            except (OSError, http.client.HTTPException):
                pass
            select.select([], [], [], 0.05)
        raise Failed(f"{what} did not come up:\n{child.log.read_text(errors='replace')[-4000:]}")

    def simulator(self, build, *options):
        """A virtfusion-simulator; its port."""
        port = free_port()
        program = need(build / "virtfusion-simulator", f"scripts/build {build.name} virtfusion-simulator")
        child = self.start("simulator", [program, "--listen", f"127.0.0.1:{port}", "--token", "token", *options])
        self.wait_for(child, "the simulator", lambda: ask(port, "GET", "/_control/state").status == 200)
        return port

    def prism(self, document, upstream=None):
        """Prism in front of `upstream`, holding both sides against `document`; without one it answers with the
        document's examples. Its port."""
        need(PRISM, "scripts/bootstrap --api-tools")
        port = free_port()
        command = [str(PRISM), *(["proxy", str(document), upstream] if upstream else ["mock", str(document)])]
        child = self.start("proxy" if upstream else "mock", [*command, "-p", str(port)], cwd=self.folder)
        self.wait_for(child, "Prism", lambda: "Prism is listening" in child.log.read_text(errors="replace"))
        return port


def run(check):
    """Runs `check(arguments)` with SIGTERM as an orderly end; 1 when it cannot go on."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    os.chdir(ROOT)
    try:
        return check(sys.argv[1:])
    except Failed as failure:
        print(f"{Path(sys.argv[0]).name}: {failure}", file=sys.stderr)
        return 1
