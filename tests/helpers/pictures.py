"""Folders of small images, of each kind that Keras reads."""

import numpy as np
from PIL import Image


def noise(height, width, channels, seed=0):
    """An image with some structure, so that resizing it wrongly shows."""
    rng = np.random.default_rng(seed)
    coarse = rng.integers(0, 256, (height // 4 + 1, width // 4 + 1, channels))
    fine = np.kron(coarse, np.ones((4, 4, 1)))[:height, :width] + rng.integers(
        -20, 20, (height, width, channels)
    )
    return np.clip(fine, 0, 255).astype(np.uint8)


def write(path, array):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(array[..., 0] if array.shape[2] == 1 else array).save(path)


def make_folder(root, per_class=(5, 4), size=(12, 10)):
    """`cats` and `dogs` of one size, and what is no image beside them."""
    for label, (name, count) in enumerate(zip(("cats", "dogs"), per_class, strict=True)):
        for number in range(count):
            write(root / name / f"{number}.png", noise(*size, 3, seed=100 * label + number))
    (root / "cats" / "notes.txt").write_text("no image")
    (root / ".hidden").mkdir()
    return root


def make_many_kinds(root):
    """Sizes, formats and modes that differ, in folders within folders."""
    write(root / "b" / "wide.png", noise(20, 51, 3, 1))
    write(root / "b" / "deep" / "tall.jpg", noise(47, 18, 3, 2))
    write(root / "b" / "Gray.PNG", noise(9, 13, 1, 3))
    write(root / "a" / "alpha.png", noise(16, 16, 4, 4))
    write(root / "a" / "plain.bmp", noise(31, 30, 3, 5))
    Image.fromarray(noise(21, 14, 3, 6)).quantize(16).save(root / "a" / "palette.gif")
    Image.fromarray(noise(15, 15, 1, 7)[..., 0].astype(np.uint16) * 257).save(root / "a" / "wide_numbers.png")
    return root
