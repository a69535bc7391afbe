"""Adam in one pass over each variable."""

from collections.abc import Iterable

import keras
import tensorflow as tf

Update = tuple[tf.Tensor, keras.Variable]  # a gradient and its variable


class FusedAdam(keras.optimizers.Adam):
    """keras.optimizers.Adam by TensorFlow's fused operation.

    Keras's own reads and writes each variable a dozen times, which for the 16.8 million weights of the critic's dense
    layer takes as long as some of its convolutions. Which slots a variable has, and where gradients are summed, is
    private to Keras: setup.py pins its version.
    """

    def _all_reduce_sum_gradients(self, grads_and_vars: Iterable[Update]) -> list[Update]:
        """Keras's sum over replicas; of one replica, the gradients themselves.

        Keras would pass them all through one IdentityN. TensorFlow 2.21's graph optimizer then drops the direct edges
        from a variable's reads to its update, as there is a path through the IdentityN, and after that the IdentityN:
        the gradient penalty, of which a bias's gradient is no function, may see the bias before or after its update.
        """
        if tf.distribute.get_strategy().num_replicas_in_sync == 1:
            return list(grads_and_vars)
        return super()._all_reduce_sum_gradients(grads_and_vars)

    def update_step(self, gradient: tf.Tensor, variable: tf.Variable, learning_rate: tf.Tensor) -> None:
        """One step of one variable, float32, on the replica that has it."""
        index = self._get_variable_index(variable)
        step = tf.cast(self.iterations.value + 1, tf.float32)
        tf.raw_ops.ResourceApplyAdam(
            var=variable.handle,
            m=self._momentums[index].value.handle,
            v=self._velocities[index].value.handle,
            beta1_power=self.beta_1**step,
            beta2_power=self.beta_2**step,
            lr=tf.cast(learning_rate, tf.float32),
            beta1=self.beta_1,
            beta2=self.beta_2,
            epsilon=self.epsilon,
            grad=gradient,
        )
