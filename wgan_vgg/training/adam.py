"""Adam in one pass over each variable, and what float16 needs besides."""

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
        self._apply_adam(gradient, variable, learning_rate, self.beta_1, self.beta_2)

    def _apply_adam(
        self,
        gradient: tf.Tensor,
        variable: tf.Variable,
        learning_rate: tf.Tensor,
        beta_1: float | tf.Tensor,
        beta_2: float | tf.Tensor,
    ) -> None:
        index = self._get_variable_index(variable)
        step = tf.cast(self.iterations.value + 1, tf.float32)
        tf.raw_ops.ResourceApplyAdam(
            var=variable.handle,
            m=self._momentums[index].value.handle,
            v=self._velocities[index].value.handle,
            beta1_power=self.beta_1**step,
            beta2_power=self.beta_2**step,
            lr=tf.cast(learning_rate, tf.float32),
            beta1=beta_1,
            beta2=beta_2,
            epsilon=self.epsilon,
            grad=gradient,
        )


_FIRST_SCALE, _HIGHEST_SCALE = 2.0**15, 2.0**24
_GROWS_AFTER = 2000  # updates without an overflow, as in Micikevicius et al.


class ScaledAdam(FusedAdam):
    """FusedAdam for gradients in float16, which loses what is below 6e-8 (Micikevicius et al. 2018, section 3.2).

    The loss is multiplied by `scale` before its gradients are taken, and these are divided by it. Where one of them
    overflows, on whichever replica, nothing is updated on any, and the scale is halved; it is doubled again later.
    Keras's LossScaleOptimizer looks at the gradients before they are summed, so that a replica may take what another
    one skips.
    """

    def build(self, variables: list[keras.Variable]) -> None:
        """Makes the slots, as Keras does, and the scale."""
        super().build(variables)
        alike = tf.VariableAggregation.ONLY_FIRST_REPLICA
        self.scale = tf.Variable(_FIRST_SCALE, trainable=False, aggregation=alike, name="loss_scale")
        self.updates = tf.Variable(0, trainable=False, aggregation=alike, name="updates_since_overflow")

    def scale_loss(self, loss: tf.Tensor) -> tf.Tensor:
        """The loss whose gradients `apply` takes."""
        return loss * self.scale

    def excused(self, squares: tf.Tensor) -> tf.Tensor:
        """A sum of squared gradients; 0 where it is not finite and a lower scale may help."""
        return tf.where(tf.math.is_finite(squares) | (self.scale < 1.0), squares, 0.0)

    def apply(self, grads: list[tf.Tensor], trainable_variables: list[keras.Variable]) -> None:
        """One step, or none; and the scale for the next one."""
        super().apply(grads, trainable_variables)
        finite, updates = self._finite, self.updates + 1
        grown = tf.where(updates < _GROWS_AFTER, self.scale, tf.minimum(2.0 * self.scale, _HIGHEST_SCALE))
        self.scale.assign(tf.where(finite, grown, 0.5 * self.scale))
        self.updates.assign(tf.where(finite, updates % _GROWS_AFTER, 0))

    def _all_reduce_sum_gradients(self, grads_and_vars: Iterable[Update]) -> list[Update]:
        """FusedAdam's sum, unscaled. What is not finite on one replica is not finite in the sum, on all of them."""
        summed = super()._all_reduce_sum_gradients(grads_and_vars)
        unscaled = [(gradient / self.scale, variable) for gradient, variable in summed]
        self._finite = tf.reduce_all([tf.reduce_all(tf.math.is_finite(gradient)) for gradient, _ in unscaled])
        return unscaled

    def update_step(self, gradient: tf.Tensor, variable: tf.Variable, learning_rate: tf.Tensor) -> None:
        """One step of one variable, or one that changes neither it nor its slots."""
        done = self._finite

        def unless_skipped(value: float | tf.Tensor, instead: float) -> tf.Tensor:
            return tf.where(done, value, instead)

        self._apply_adam(
            unless_skipped(gradient, 0.0),
            variable,
            unless_skipped(tf.cast(learning_rate, tf.float32), 0.0),
            unless_skipped(self.beta_1, 1.0),
            unless_skipped(self.beta_2, 1.0),
        )
