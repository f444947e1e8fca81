"""What differs between tasks in the source of a new study."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class TaskSource:
    """How a model for one task ends and is scored, as source text.

    Attributes:
        objective: A class of ours with the metric.
        outputs: Units of the last layer.
        activation: Of the last layer; "" for none.
        loss: What the model is compiled with.
        metrics: The same; "" for none.
    """

    objective: str
    outputs: int
    activation: str = ""
    loss: str
    metrics: str = ""

    @property
    def words(self) -> dict[str, str]:
        """What the `$words` of a source stand for."""
        last_layer = "one unit" if self.outputs == 1 else f"{self.outputs} units"
        last_arguments = str(self.outputs)
        if self.activation:
            last_layer += f" with {self.activation}"
            last_arguments += f', activation="{self.activation}"'

        compile_arguments = [f'loss="{self.loss}"', "optimizer=keras.optimizers.Adam(lr)"]
        if self.metrics:
            compile_arguments.append(f"metrics={self.metrics}")

        return {
            "objective": self.objective,
            "goal": self.objective.partition("(")[0],
            "outputs": str(self.outputs),
            "loss": self.loss,
            "last_layer": last_layer,
            "last_arguments": last_arguments,
            "compile_arguments": ",\n        ".join(compile_arguments),
        }


TASKS = {
    "regression": TaskSource(objective='Minimize("val_rmse")', outputs=1, loss="mse"),
    "binary": TaskSource(
        objective='Maximize("val_accuracy")',
        outputs=1,
        activation="sigmoid",
        loss="binary_crossentropy",
        metrics='["accuracy"]',
    ),
    "multiclass": TaskSource(
        objective='Maximize("val_accuracy")',
        outputs=3,
        activation="softmax",
        loss="sparse_categorical_crossentropy",
        metrics='["accuracy"]',
    ),
}
