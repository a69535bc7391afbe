"""The benchmark's profile of a step: which operations took the time."""

import pytest
from tensorflow.tsl.profiler.protobuf import xplane_pb2

from benchmark.operations import operation_rows, seconds_by_kind
from wgan_vgg import config


def test_kinds_are_summed_over_threads_and_nothing_else_is_counted():
    profile = xplane_pb2.XSpace()
    plane = profile.planes.add(name="/host:CPU")
    names = [
        "critic/conv1/convolution/Conv2D:_MklNativeFusedConv2D",
        "gradient_tape/critic/conv1/Conv2D:Conv2D",
        "critic/dense_1/MatMul:_MklMatMul",
        "ExecutorState::Process",
        "tf_data_map",
    ]
    for number, name in enumerate(names):
        plane.event_metadata[number].name = name
    for thread, events in {
        "tf_Compute/1": [(0, 4), (3, 100), (2, 1)],
        "tf_Compute/2": [(1, 2), (4, 100)],
        "python": [(0, 100)],
    }.items():
        line = plane.lines.add(name=thread)
        for metadata, seconds in events:
            line.events.add(metadata_id=metadata, duration_ps=seconds * 10**12)
    profile.planes.add(name="/host:metadata")
    assert seconds_by_kind(profile) == {"Conv2D": 6.0, "MatMul": 1.0}


def test_the_rows_of_a_step_add_up():
    settings = config.override(
        config.preset("report"),
        {"data.image_size": 32, "training.batch_size": 2, "training.critic_steps": 1, "vgg.weights": "random"},
    )
    rows = list(operation_rows(settings, ["generator-mse"], ["float32"], lambda *_: None))
    assert sum(row.share for row in rows) == pytest.approx(1)
    total = float(rows[0].limit.split()[0]) * 1e3
    assert sum(row.rate for row in rows) == pytest.approx(total, rel=0.01)
    shares = {row.case.removeprefix("generator-mse float32: "): row.share for row in rows}
    convolutions = sum(share for kind, share in shares.items() if kind.startswith("Conv2D"))
    assert convolutions > 0.4, shares
