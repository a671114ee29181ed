"""Data sets to begin with, as `((x_train, y_train), (x_test, y_test))`."""

from __future__ import annotations

import hashlib
from pathlib import Path

from distrib.base.arrays import Array
from distrib.base.errors import DataError
from distrib.data.download import cache_folder, download
from distrib.data.idx import read_idx

Split = tuple[Array, Array]

_FILES = Path(__file__).parent / "files"

DEBIAN_FASHION_MNIST = Path("/usr/share/datasets/fashion-mnist")
FASHION_MNIST_URL = "https://storage.googleapis.com/tensorflow/tf-keras-datasets/"

# File name -> SHA-256 of the elements, that is of the decompressed content behind the IDX header.
FASHION_MNIST_FILES = {
    "train-images-idx3-ubyte.gz": "2e487a6c89124f78f2d7521542223cafe96f7123c3ca13d447772ac6ecbb3012",
    "train-labels-idx1-ubyte.gz": "657fbd221bfc9f4198cc14b5619cc33ec57c58dd0e47af4d99d6650759e869a7",
    "t10k-images-idx3-ubyte.gz": "c867c93ff95360594e8ec3287995350b824dd110b11595c0e13d5423f621867a",
    "t10k-labels-idx1-ubyte.gz": "3d0e6c6ea990b53b6f8f500a41cac93881d981b315f84578b7d915342ade01e9",
}

_ADVICE = (
    "Install Debian's package dataset-fashion-mnist, or pass path=... of a folder that holds the four files."
)


def digits() -> tuple[Split, Split]:
    """Handwritten digits: 1797 images of 8 x 8 with values 0 to 16, ten classes. Embedded in the package.

    Source: "Optical Recognition of Handwritten Digits", E. Alpaydin and C. Kaynak, UCI Machine Learning
    Repository, 1998, https://doi.org/10.24432/C50P49 (its test part), licence CC BY 4.0.

    Returns:
        `((x_train, y_train), (x_test, y_test))`, uint8: 1437 images to train on, and every fifth image, 360 in
        all, to test on.
    """
    x = read_idx(_FILES / "digits-images-idx3-ubyte.gz")
    y = read_idx(_FILES / "digits-labels-idx1-ubyte.gz")
    train = [index for index in range(len(x)) if index % 5]
    return (x[train], y[train]), (x[::5], y[::5])


def fashion_mnist(path: str | Path | None = None, url: str = FASHION_MNIST_URL) -> tuple[Split, Split]:
    """Fashion-MNIST: 70 000 images of 28 x 28 with values 0 to 255, ten classes of clothing.

    Source: H. Xiao, K. Rasul, R. Vollgraf, arXiv:1708.07747, licence MIT.

    Args:
        path: folder that holds the four `.gz` files. By default that of Debian's package
            `dataset-fashion-mnist`; if it is not installed, the files are downloaded once into
            `$DISTRIB_CACHE/fashion-mnist` (`~/.cache/distrib/fashion-mnist`). The content is checked by SHA-256.
        url: where to download from.

    Returns:
        `((x_train, y_train), (x_test, y_test))`, uint8, 60 000 and 10 000 images.

    Raises:
        DataError: a file is missing or damaged, or cannot be downloaded.
    """
    if path is not None:
        folder = Path(path)
    elif DEBIAN_FASHION_MNIST.is_dir():
        folder = DEBIAN_FASHION_MNIST
    else:
        folder = _download_fashion_mnist(url)
    arrays = []
    for name, digest in FASHION_MNIST_FILES.items():
        file = folder / name
        if not file.is_file():
            raise DataError(
                f"Expected the four Fashion-MNIST files in {folder}. Missing: {name}. Install Debian's package "
                "dataset-fashion-mnist, or pass path=... of a folder that holds them."
            )
        arrays.append(_verified(file, digest))
    x_train, y_train, x_test, y_test = arrays
    return (x_train, y_train), (x_test, y_test)


def _verified(file: Path, digest: str) -> Array:
    array = read_idx(file)
    if hashlib.sha256(array.tobytes()).hexdigest() != digest:
        raise DataError(f"{file} does not hold Fashion-MNIST: SHA-256 mismatch. Delete it and try again.")
    return array


def _download_fashion_mnist(url: str) -> Path:
    folder = cache_folder() / "fashion-mnist"
    for name, digest in FASHION_MNIST_FILES.items():
        target = folder / name
        if target.is_file():
            continue

        def verify(file: Path, digest: str = digest, name: str = name) -> None:
            try:
                _verified(file, digest)
            except DataError:
                raise DataError(f"What {url}{name} sent is not Fashion-MNIST: SHA-256 mismatch.") from None

        download(url + name, target, verify, _ADVICE)
    return folder
