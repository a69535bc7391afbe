"""Every read of a variable comes before or after its update, never at the same time.

Looked at in the graph that TensorFlow runs, which its optimizer may have left without an order that the traced one had.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator

import numpy as np
import pytest
import tensorflow as tf
from tensorflow.core.framework.graph_pb2 import GraphDef
from tensorflow.python.eager import context

from wgan_vgg import config
from wgan_vgg.config.models import MODELS
from wgan_vgg.training.distribute import Devices, make_strategy
from wgan_vgg.training.state import create_state
from wgan_vgg.training.train_step import build_critic_warmup, build_train_step

UPDATES = ("ResourceApplyAdam", "AssignVariableOp", "AssignAddVariableOp")
SIDE, BATCH = 32, 4


class Graph:
    """The operations of a graph and which of them come before which."""

    def __init__(self, graph: GraphDef) -> None:
        self._nodes = {node.name: node for node in graph.node}

    def users(self, kinds: Iterable[str]) -> dict[str, list[str]]:
        """The operations of some kinds by their variable."""
        found = defaultdict(list)
        for node in self._nodes.values():
            if node.op in kinds:
                found[node.input[0]].append(node.name)
        return found

    def before(self, name: str) -> set[str]:
        """All that an operation waits for."""
        found: set[str] = set()
        left = [name]
        while left:
            inputs = {one.lstrip("^").split(":")[0] for one in self._nodes[left.pop()].input}
            left += inputs - found
            found |= inputs
        return found

    def unordered(self) -> Iterator[tuple[str, str]]:
        """Each update with each read of its variable that may come before or after it."""
        reads = self.users(["ReadVariableOp"])
        for variable, updates in self.users(UPDATES).items():
            for update in updates:
                before = self.before(update)
                for read in reads[variable]:
                    if read not in before and update not in self.before(read):
                        yield update, read


@pytest.fixture
def graphs_that_ran():
    context.context().ensure_initialized()
    context.context().enable_graph_collection()
    yield lambda: [
        Graph(one.post_optimization_graph) for one in context.context().export_run_metadata().function_graphs
    ]
    context.context().disable_graph_collection()


@pytest.mark.parametrize(("model", "devices"), [*((model, 0) for model in MODELS), ("unpaired-kl", 2), ("wgan-vgg", 2)])
def test_in_a_step_and_in_the_warm_up(model, devices, graphs_that_ran):
    few = {"training.batch_size": BATCH, "training.critic_steps": 2, "critic.filters": (4, 4), "critic.dense_units": 8}
    few |= {"generator.layers": 3, "generator.filters": 8, "vgg.weights": "random", "vgg.layer": "block1_conv2"}
    chosen = config.override(config.preset("demo"), few | {"model": model, "training.ema_decay": 0.9})
    strategy = make_strategy(Devices(virtual_devices=devices))
    with strategy.scope():
        state = create_state(chosen, (SIDE, SIDE), 10)
    images = np.random.default_rng(0).random((BATCH, SIDE, SIDE, 1), np.float32)
    pairs = tf.data.Dataset.from_tensors(((images, images), np.zeros(BATCH, np.int64))).unbatch().batch(BATCH)
    pair, number = next(iter(strategy.experimental_distribute_dataset(pairs)))
    stop_flag = tf.constant(0.0)
    critic_pairs = () if chosen.spec.paired else (pair, pair)
    build_train_step(state, chosen, strategy)(pair, critic_pairs, stop_flag)
    if chosen.spec.adversarial:
        build_critic_warmup(state, chosen, strategy)(pair, number, stop_flag)
    found = [graph for graph in graphs_that_ran() if graph.users(["ResourceApplyAdam"])]
    assert len(found) == 1 + chosen.spec.adversarial
    assert [list(graph.unordered()) for graph in found] == [[]] * len(found)
