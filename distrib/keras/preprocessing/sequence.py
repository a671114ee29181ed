"""`distrib.keras.preprocessing.sequence`: sequences as arrays."""

from distrib.base.missing import refuser
from distrib.data.sequences import pad_sequences

__all__ = ["pad_sequences"]

__getattr__ = refuser(
    __name__,
    {
        "TimeseriesGenerator": "use keras.utils.timeseries_dataset_from_array.",
        **dict.fromkeys(
            ["make_sampling_table", "skipgrams"], "pairs of words are not drawn. Make arrays of them."
        ),
    },
    __all__,
)
