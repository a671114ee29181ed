"""`distrib.data.Dataset`: pipelines of examples, with the names and the order of `tf.data`."""
