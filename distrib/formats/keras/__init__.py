"""Files of Keras, versions 2 and 3: `.keras`, `.h5` and `.weights.h5`."""
