"""`distrib.keras.layers`: see `distrib.layers`."""

from distrib.base.missing import refuser
from distrib.nn.layers import *  # noqa: F403
from distrib.nn.layers import __all__ as __all__

_CONVOLUTION = "convolution and pooling are not supported yet. Flatten images for Dense layers."
_RECURRENCE = "recurrent layers are not supported yet."
_NORMALIZATION = (
    "normalization over batches or layers is not supported yet. Normalization and UnitNormalization are."
)
_ATTENTION = "attention and embeddings are not supported yet."
_TEXT = "there are no tensors of text. Encode text as numbers before, for example with scikit-learn."

__getattr__ = refuser(
    __name__,
    {
        **dict.fromkeys(
            [
                *(
                    "AveragePooling1D",
                    "AveragePooling2D",
                    "Conv1D",
                    "Conv1DTranspose",
                    "Conv2D",
                    "Conv2DTranspose",
                ),
                *("Conv3D", "Cropping1D", "Cropping2D", "DepthwiseConv2D", "GlobalAveragePooling1D"),
                *(
                    "GlobalAveragePooling2D",
                    "GlobalMaxPooling1D",
                    "GlobalMaxPooling2D",
                    "MaxPool2D",
                    "MaxPooling1D",
                ),
                *("MaxPooling2D", "SeparableConv2D", "SpatialDropout1D", "SpatialDropout2D", "UpSampling2D"),
                *("ZeroPadding2D", "Convolution2D"),
            ],
            _CONVOLUTION,
        ),
        **dict.fromkeys(
            ["Bidirectional", "ConvLSTM2D", "GRU", "LSTM", "LSTMCell", "RNN", "SimpleRNN", "TimeDistributed"],
            _RECURRENCE,
        ),
        **dict.fromkeys(
            ["BatchNormalization", "GroupNormalization", "LayerNormalization", "RMSNormalization"],
            _NORMALIZATION,
        ),
        **dict.fromkeys(["AdditiveAttention", "Attention", "Embedding", "MultiHeadAttention"], _ATTENTION),
        **dict.fromkeys(["Hashing", "StringLookup", "TextVectorization"], _TEXT),
        "DenseFeatures": "feature columns are not supported. Make arrays of the columns.",
    },
    __all__,
)
