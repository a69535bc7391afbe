"""The documented client of TensorFlow Serving, against a stand-in with its REST interface (tfx/serving/api_rest)."""

import http.server
import json
import re
import threading
from pathlib import Path
from typing import ClassVar

import numpy as np
import pytest
import tensorflow as tf
from deployed import hu_images, write_run

from wgan_vgg.exporters.export import export_saved_model
from wgan_vgg.inference.denoiser import Denoiser

INFERENCE = (Path(__file__).parent.parent / "docs" / "inference.md").read_text()


def predict(model: tf.Module, body: bytes) -> dict[str, object]:
    """What `:predict` answers: column format, values typed by the signature, a single output without its name."""
    request = json.loads(body)
    assert set(request) == {"signature_name", "inputs"}
    signature = model.signatures[request["signature_name"]]
    specifications = signature.structured_input_signature[1]
    assert set(request["inputs"]) == set(specifications)
    inputs = {name: tf.constant(value, specifications[name].dtype) for name, value in request["inputs"].items()}
    for name, value in inputs.items():
        assert value.shape.is_compatible_with(specifications[name].shape)
    (output,) = signature(**inputs).values()
    return {"outputs": output.numpy().tolist()}


class Handler(http.server.BaseHTTPRequestHandler):
    model: ClassVar[tf.Module]

    def do_POST(self):
        assert self.path == "/v1/models/wgan_vgg:predict"
        answer = json.dumps(predict(self.model, self.rfile.read(int(self.headers["Content-Length"])))).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    def log_message(self, *_):
        pass


@pytest.fixture
def run(tmp_path):
    return write_run(tmp_path / "run", **{"generator.layers": 3})


@pytest.fixture
def port(run, tmp_path):
    Handler.model = tf.saved_model.load(str(export_saved_model(run, tmp_path / "saved_model")))
    with http.server.HTTPServer(("localhost", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield server.server_port
        server.shutdown()
        thread.join()


def test_the_client_gets_what_the_model_gives(run, port, tmp_path, monkeypatch):
    (client,) = [block for block in re.findall(r"```python\n(.*?)```", INFERENCE, re.DOTALL) if ":predict" in block]
    assert len([line for line in client.splitlines() if line.strip()]) <= 10
    monkeypatch.chdir(tmp_path)
    np.save("slices.npy", hu_images(2))
    exec(compile(client.replace("localhost:8501", f"localhost:{port}"), "docs/inference.md", "exec"), {})
    np.testing.assert_allclose(np.load("denoised.npy"), Denoiser.load(run.path)(hu_images(2)), atol=0.05)


def test_the_docker_line_puts_the_model_where_serving_looks():
    (line,) = [line for line in INFERENCE.splitlines() if "docker run" in line]
    volume = re.search(r'-v "\$PWD/runs/saved_model:/models/(\w+)/(\d+)"', line)
    assert volume
    assert f"MODEL_NAME={volume[1]}" in line
    assert f"/v1/models/{volume[1]}:predict" in INFERENCE
