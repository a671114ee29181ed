"""Every optimizer, in every form in which its updates differ."""

from distrib.nn.optimizers import (
    SGD,
    Adadelta,
    Adafactor,
    Adagrad,
    Adam,
    Adamax,
    AdamW,
    Ftrl,
    Lamb,
    Lion,
    Nadam,
    RMSprop,
)

OPTIMIZERS = {
    "sgd": lambda: SGD(0.1),
    "momentum": lambda: SGD(0.05, momentum=0.9),
    "nesterov": lambda: SGD(0.05, momentum=0.9, nesterov=True),
    "adam": lambda: Adam(0.01),
    "amsgrad": lambda: Adam(0.01, amsgrad=True),
    "adamw": lambda: AdamW(0.01),
    "adamax": lambda: Adamax(0.01),
    "nadam": lambda: Nadam(0.01),
    "rmsprop": lambda: RMSprop(0.01),
    "rmsprop, momentum": lambda: RMSprop(0.01, momentum=0.8),
    "rmsprop, centered": lambda: RMSprop(0.01, centered=True),
    "rmsprop, centered, momentum": lambda: RMSprop(0.01, centered=True, momentum=0.8),
    "adagrad": lambda: Adagrad(0.05),
    "adadelta": lambda: Adadelta(1.0),
    "ftrl": lambda: Ftrl(0.1, l1_regularization_strength=0.001, l2_shrinkage_regularization_strength=0.01),
    "ftrl, power": lambda: Ftrl(0.1, learning_rate_power=-0.7),
    "lion": lambda: Lion(0.01),
    "lamb": lambda: Lamb(0.01),
    "adafactor": lambda: Adafactor(0.05),
    "adam, clipnorm": lambda: Adam(0.01, clipnorm=0.05),
    "decayed": lambda: SGD(0.05, momentum=0.9, weight_decay=0.1),
}
WHOLE_TENSORS = ["lamb", "adafactor", "adam, clipnorm"]
"""Where a tensor is not cut between owners."""
CONTINUOUS = [name for name in OPTIMIZERS if name != "lion"]
"""Where a reordered sum changes the last bits only. Lion takes the sign of a sum, which may be 0."""
