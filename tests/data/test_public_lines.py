"""How public scripts prepare their data, retyped with their imports changed: each runs, and its numbers are right."""

import numpy as np

import distrib
import distrib.tf as tf
from distrib import keras

RNG = np.random.default_rng(0)
x_train, y_train = RNG.integers(0, 255, (120, 8, 8)).astype("uint8"), RNG.integers(0, 10, 120)


def classifier(shape=(8, 8)):
    model = tf.keras.Sequential([tf.keras.layers.Flatten(input_shape=shape), tf.keras.layers.Dense(10)])
    loss = tf.keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(optimizer="adam", loss=loss, metrics=["accuracy"])
    return model


def test_quickstart_for_experts():
    images = x_train[..., tf.newaxis].astype("float32") / 255.0
    train_ds = tf.data.Dataset.from_tensor_slices((images, y_train)).shuffle(10000).batch(32)
    seen = 0
    for images, labels in train_ds:
        assert images.numpy().shape[1:] == (8, 8, 1)
        seen += int(labels.shape[0])
    assert seen == 120


def test_multi_worker_with_keras():
    def mnist_dataset(batch_size):
        images = x_train / np.float32(255)
        labels = y_train.astype(np.int64)
        return tf.data.Dataset.from_tensor_slices((images, labels)).shuffle(60000).repeat().batch(batch_size)

    history = classifier().fit(mnist_dataset(64), epochs=3, steps_per_epoch=7, verbose=0)
    assert len(history.history["accuracy"]) == 3


def test_distributed_training_with_keras():
    BUFFER_SIZE, BATCH_SIZE = 10000, 16

    def scale(image, label):
        image = tf.cast(image, tf.float32)
        image /= 255
        return image, label

    rows = tf.data.Dataset.from_tensor_slices((x_train, y_train))
    train_dataset = rows.map(scale).cache().shuffle(BUFFER_SIZE).batch(BATCH_SIZE)
    eval_dataset = rows.map(scale).batch(BATCH_SIZE)
    strategy = tf.distribute.MirroredStrategy()
    with strategy.scope():
        model = classifier()
    model.fit(train_dataset, epochs=2, verbose=0)
    eval_loss, eval_acc = model.evaluate(eval_dataset, verbose=0)
    assert eval_loss > 0
    assert 0 <= eval_acc <= 1


def test_custom_training():
    strategy = tf.distribute.MirroredStrategy()
    GLOBAL_BATCH_SIZE = 32 * strategy.num_replicas_in_sync
    images = (x_train / 255).astype("float32")
    train_dataset = (
        tf.data.Dataset.from_tensor_slices((images, y_train)).shuffle(120).batch(GLOBAL_BATCH_SIZE)
    )
    train_dist_dataset = strategy.experimental_distribute_dataset(train_dataset)
    with strategy.scope():
        loss_object = tf.keras.losses.SparseCategoricalCrossentropy(
            from_logits=True, reduction=tf.keras.losses.Reduction.NONE
        )  # fmt: skip
        model = tf.keras.Sequential([tf.keras.layers.Flatten(input_shape=(8, 8)), tf.keras.layers.Dense(10)])
        optimizer = tf.keras.optimizers.Adam(learning_rate=0.001)

    def train_step(inputs):
        images, labels = inputs
        with tf.GradientTape() as tape:
            predictions = model(images, training=True)
            per_example_loss = loss_object(labels, predictions)
            loss = tf.nn.compute_average_loss(per_example_loss, global_batch_size=GLOBAL_BATCH_SIZE)
        gradients = tape.gradient(loss, model.trainable_variables)
        optimizer.apply_gradients(zip(gradients, model.trainable_variables, strict=True))
        return loss

    @tf.function
    def distributed_train_step(dataset_inputs):
        per_replica_losses = strategy.run(train_step, args=(dataset_inputs,))
        return strategy.reduce(tf.distribute.ReduceOp.SUM, per_replica_losses, axis=None)

    losses = []
    for _ in range(3):
        total_loss, num_batches = 0.0, 0
        for x in train_dist_dataset:
            total_loss += distributed_train_step(x)
            num_batches += 1
        losses.append(float(total_loss / num_batches))
    assert losses[2] < losses[0]
    iterator = iter(train_dist_dataset)
    assert next(iterator)[1].shape == (32,)
    assert train_dist_dataset.element_spec[0].shape == (None, 8, 8)


def test_distributed_input():
    strategy = tf.distribute.MirroredStrategy()
    global_batch_size = 16

    def dataset_fn(input_context):
        batch_size = input_context.get_per_replica_batch_size(global_batch_size)
        dataset = tf.data.Dataset.from_tensors(([1.0], [1.0])).repeat(64).batch(16)
        dataset = dataset.shard(input_context.num_input_pipelines, input_context.input_pipeline_id)
        dataset = dataset.unbatch().batch(batch_size)
        return dataset.prefetch(2)

    dist_dataset = strategy.distribute_datasets_from_function(dataset_fn)
    assert len(list(dist_dataset)) == 4
    options = tf.data.Options()
    options.experimental_distribute.auto_shard_policy = tf.data.experimental.AutoShardPolicy.DATA
    assert len(list(tf.data.Dataset.range(4).batch(2).with_options(options))) == 2


def test_parameter_server_training():
    def dataset_fn(input_context):
        global_batch_size = 64
        batch_size = input_context.get_per_replica_batch_size(global_batch_size)
        x = tf.random.uniform((10, 10))
        y = tf.random.uniform((10,))
        dataset = tf.data.Dataset.from_tensor_slices((x, y)).shuffle(10).repeat()
        dataset = dataset.shard(input_context.num_input_pipelines, input_context.input_pipeline_id)
        return dataset.batch(batch_size).prefetch(2)

    input_options = tf.distribute.InputOptions(experimental_fetch_to_device=True)
    dc = tf.keras.utils.experimental.DatasetCreator(dataset_fn, input_options=input_options)
    model = tf.keras.Sequential([tf.keras.layers.Dense(10, input_shape=(10,)), tf.keras.layers.Dense(1)])
    model.compile(tf.keras.optimizers.SGD(), loss="mse")
    assert len(model.fit(dc, epochs=2, steps_per_epoch=5, verbose=0).history["loss"]) == 2


def test_windows_of_a_series():
    series, size = np.arange(40, dtype="float32"), 5

    def windowed_dataset(series, window_size, batch_size, shuffle_buffer):
        ds = tf.data.Dataset.from_tensor_slices(tf.expand_dims(series, axis=-1))
        ds = ds.window(window_size + 1, shift=1, drop_remainder=True)
        ds = ds.flat_map(lambda w: w.batch(window_size + 1))
        ds = ds.shuffle(shuffle_buffer)
        ds = ds.map(lambda w: (w[:-1], w[1:]))
        return ds.batch(batch_size).prefetch(1)

    x, y = next(iter(windowed_dataset(series, size, 7, 100)))
    assert x.shape == y.shape == (7, 5, 1)
    np.testing.assert_array_equal(x + 1, y)


def test_classify_structured_data():
    frame = {"age": RNG.normal(size=50), "hours": RNG.normal(size=50)}
    target = RNG.integers(0, 2, 50)

    def df_to_dataset(dataframe, shuffle=True, batch_size=32):
        df = {key: np.array(value)[:, tf.newaxis] for key, value in dataframe.items()}
        ds = tf.data.Dataset.from_tensor_slices((dict(df), target))
        if shuffle:
            ds = ds.shuffle(buffer_size=len(target))
        ds = ds.batch(batch_size)
        return ds.prefetch(batch_size)

    [(features, labels)] = df_to_dataset(frame, batch_size=5).take(1)
    assert list(features) == ["age", "hours"]
    inputs = [keras.Input((1,), name=name) for name in frame]
    outputs = keras.layers.Dense(1, "sigmoid")(keras.layers.Concatenate()(inputs))
    model = keras.Model(inputs, outputs)
    model.compile("adam", "binary_crossentropy")
    model.fit(df_to_dataset(frame), epochs=1, verbose=0)
    assert labels.shape == (5,)


def test_transfer_learning():
    rows = tf.data.Dataset.from_tensor_slices((x_train.astype("float32"), y_train)).batch(8)
    val_batches = tf.data.experimental.cardinality(rows)
    test_dataset = rows.take(val_batches // 5)
    validation_dataset = rows.skip(val_batches // 5)
    assert tf.data.experimental.cardinality(test_dataset).numpy() == 3
    AUTOTUNE = tf.data.AUTOTUNE
    normalization_layer = tf.keras.layers.Rescaling(1.0 / 255)
    normalized = validation_dataset.map(lambda x, y: (normalization_layer(x), y), num_parallel_calls=AUTOTUNE)
    image_batch, _ = next(iter(normalized.cache().prefetch(buffer_size=AUTOTUNE)))
    assert np.max(image_batch) <= 1
    classifier().fit(normalized, validation_data=test_dataset, epochs=1, verbose=0)


def test_generators_of_keras():
    def batch_generator(batch_size=16):
        while True:
            for begin in range(0, len(x_train), batch_size):
                yield x_train[begin : begin + batch_size] / 255, y_train[begin : begin + batch_size]

    model = classifier()
    model.fit(
        batch_generator(), steps_per_epoch=len(x_train) // 16, epochs=2,
        validation_data=batch_generator(), validation_steps=2, verbose=0,
    )  # fmt: skip
    assert model.predict(batch_generator(), steps=3, verbose=0).shape == (48, 10)


def test_train_and_evaluate_from_datasets():
    x = x_train.reshape(120, 64).astype("float32") / 255
    train_dataset = tf.data.Dataset.from_tensor_slices((x, y_train))
    train_dataset = train_dataset.shuffle(buffer_size=1024).batch(64)
    sample_weight = np.ones(shape=(len(y_train),))
    sample_weight[y_train == 5] = 2.0
    weighted = tf.data.Dataset.from_tensor_slices((x, y_train, sample_weight)).shuffle(1024).batch(64)
    model = classifier((64,))
    model.fit(train_dataset, epochs=1, steps_per_epoch=2, verbose=0)
    model.fit(weighted, epochs=1, verbose=0, class_weight=None)
    result = model.evaluate(train_dataset, return_dict=True, verbose=0)
    assert set(result) == {"loss", "accuracy"}
    assert isinstance(distrib.data.Dataset.range(3), tf.data.Dataset)
