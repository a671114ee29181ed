"""`distrib.keras` and `distrib.tf`: the imports that people write, and operations as in TensorFlow."""

import importlib
import subprocess
import sys

import numpy as np
import pytest

import distrib
from distrib import keras, tf
from distrib.base.missing import MissingNameError

LAYERS = (
    "Activation ActivityRegularization Add Average Concatenate Dense Dot Dropout ELU Flatten GaussianDropout "
    "GaussianNoise Identity Input InputLayer Lambda Layer LeakyReLU Masking Maximum Minimum Multiply Normalization "
    "PReLU Permute ReLU RepeatVector Rescaling Reshape Softmax Subtract UnitNormalization add concatenate multiply"
)
OPTIMIZERS = (
    "SGD Adam AdamW Adamax Nadam RMSprop Adagrad Adadelta Ftrl Lion Lamb Adafactor Optimizer schedules"
)
LOSSES = (
    "BinaryCrossentropy CategoricalCrossentropy SparseCategoricalCrossentropy MeanSquaredError MeanAbsoluteError "
    "Huber Hinge KLDivergence Poisson LogCosh CosineSimilarity BinaryFocalCrossentropy categorical_crossentropy "
    "sparse_categorical_crossentropy binary_crossentropy mean_squared_error mse MSE mae huber"
)
METRICS = (
    "Accuracy AUC BinaryAccuracy CategoricalAccuracy SparseCategoricalAccuracy TopKCategoricalAccuracy Mean Sum "
    "Precision Recall TruePositives TrueNegatives FalsePositives FalseNegatives F1Score RootMeanSquaredError "
    "MeanSquaredError MeanAbsoluteError BinaryCrossentropy R2Score Metric sparse_categorical_accuracy"
)
CALLBACKS = (
    "Callback EarlyStopping ModelCheckpoint TensorBoard ReduceLROnPlateau LearningRateScheduler CSVLogger History "
    "LambdaCallback TerminateOnNaN BackupAndRestore"
)
NAMES = {
    "keras": "Sequential Model Input layers optimizers losses metrics callbacks datasets utils backend models "
    "activations initializers regularizers constraints Variable Layer Loss Metric Optimizer",
    "keras.layers": LAYERS,
    "keras.optimizers": OPTIMIZERS,
    "keras.optimizers.schedules": "ExponentialDecay InverseTimeDecay PiecewiseConstantDecay CosineDecay "
    "PolynomialDecay LearningRateSchedule",
    "keras.losses": LOSSES,
    "keras.metrics": METRICS,
    "keras.callbacks": CALLBACKS,
    "keras.saving": "register_keras_serializable custom_object_scope get_custom_objects load_model save_model",
    "keras.models": "Sequential Model save_model load_model clone_model model_from_json",
    "keras.utils": "register_keras_serializable custom_object_scope get_custom_objects to_categorical normalize "
    "set_random_seed PyDataset Sequence image_dataset_from_directory timeseries_dataset_from_array load_img "
    "img_to_array array_to_img save_img pad_sequences split_dataset",
    "keras.preprocessing": "image sequence image_dataset_from_directory timeseries_dataset_from_array",
    "keras.preprocessing.image": "ImageDataGenerator load_img img_to_array array_to_img save_img smart_resize",
    "keras.preprocessing.sequence": "pad_sequences",
    "keras.backend": "clear_session floatx epsilon image_data_format backend",
    "keras.datasets": "mnist fashion_mnist california_housing boston_housing cifar10 cifar100 imdb reuters",
    "keras.datasets.mnist": "load_data",
    "keras.datasets.fashion_mnist": "load_data",
    "keras.activations": "relu softmax sigmoid tanh gelu selu swish softplus",
    "keras.initializers": "GlorotUniform HeNormal RandomNormal Zeros Ones Constant Orthogonal glorot_uniform",
    "keras.constraints": "Constraint MaxNorm MinMaxNorm NonNeg UnitNorm max_norm non_neg unit_norm min_max_norm",
    "keras.ops": "sum mean matmul exp log sqrt square maximum where one_hot stop_gradient relu softmax concatenate "
    "reshape cast shape einsum split norm logsumexp arange convert_to_tensor convert_to_numpy binary_crossentropy",
    "keras.random": "normal uniform SeedGenerator shuffle",
    "keras.regularizers": "L1 L2 L1L2 l1 l2 l1_l2",
}
TF = {
    "tf": "keras distribute train random config constant Variable cast argmax one_hot reduce_mean reduce_sum reshape "
    "concat stack expand_dims transpose where equal float32 float64 int32 int64 uint8 zeros ones function matmul nn "
    "math device convert_to_tensor squeeze is_tensor range print",
    "tf.distribute": "MirroredStrategy MultiWorkerMirroredStrategy CentralStorageStrategy ParameterServerStrategy "
    "OneDeviceStrategy get_strategy has_strategy get_replica_context ReduceOp experimental cluster_resolver "
    "HierarchicalCopyAllReduce NcclAllReduce ReductionToOneDevice Strategy InputContext InputOptions "
    "DistributedDataset",
    "tf.distribute.experimental": "CentralStorageStrategy ParameterServerStrategy MultiWorkerMirroredStrategy "
    "CommunicationOptions CommunicationImplementation",
    "tf.distribute.cluster_resolver": "TFConfigClusterResolver SimpleClusterResolver",
    "tf.data": "Dataset Options AUTOTUNE experimental INFINITE_CARDINALITY UNKNOWN_CARDINALITY",
    "tf.data.experimental": "AUTOTUNE AutoShardPolicy cardinality",
    "tf.train": "ClusterSpec Checkpoint CheckpointManager latest_checkpoint",
    "tf.random": "set_seed normal uniform",
    "tf.config": "list_physical_devices set_visible_devices experimental threading",
    "tf.config.experimental": "set_memory_growth",
    "tf.nn": "relu softmax sigmoid compute_average_loss sparse_softmax_cross_entropy_with_logits l2_normalize",
}
IMPORTS = [
    (f"{prefix}{module}", name)
    for names, prefixes in ((NAMES, ("distrib.", "distrib.tf.")), (TF, ("distrib.",)))
    for module, listed in names.items()
    for prefix in prefixes
    for name in listed.split()
]


def test_what_people_import():
    assert len(IMPORTS) > 400
    for module, name in IMPORTS:
        found = getattr(importlib.import_module(module), name)
        if ".keras" in module and not isinstance(found, type(sys)):
            assert found is getattr(importlib.import_module(module.replace("distrib.tf.", "distrib.")), name)


@pytest.mark.parametrize(
    "line",
    [
        "from distrib.tf.keras.layers import Dense; import distrib; assert Dense is distrib.layers.Dense",
        "import distrib.keras.backend as K; K.clear_session()",
        "from distrib.keras import layers, Model; layers.Dense, Model",
        "import distrib.tf as tf; tf.keras.layers.Dense, tf.keras.datasets.mnist.load_data",
        "import distrib; distrib.keras.layers.Dense; distrib.tf.keras.Model",
        "from distrib import tf; tf.distribute.experimental.CentralStorageStrategy",
        "from distrib.tf.keras.optimizers.schedules import ExponentialDecay",
        "from distrib.keras.datasets import fashion_mnist; fashion_mnist.load_data",
    ],
)
def test_each_way_in_works_in_a_fresh_process(line):
    subprocess.run([sys.executable, "-c", line], check=True, timeout=60)


@pytest.mark.parametrize(
    ("module", "name", "advice"),
    [
        ("distrib.keras.layers", "Conv2D", "Flatten"),
        ("distrib.keras.layers", "LSTM", "recurrent"),
        ("distrib.keras.layers", "StringLookup", "numbers"),
        ("distrib.keras.utils", "plot_model", "summary"),
        ("distrib.keras.utils", "audio_dataset_from_directory", "PyDataset"),
        ("distrib.keras.utils", "text_dataset_from_directory", "numbers"),
        ("distrib.keras.preprocessing", "text", "numbers"),
        ("distrib.keras.preprocessing.image", "random_rotation", "ImageDataGenerator"),
        ("distrib.keras.preprocessing.sequence", "TimeseriesGenerator", "timeseries_dataset_from_array"),
        ("distrib.keras", "applications", "weights"),
        ("distrib.keras.optimizers", "Muon", "AdamW"),
        ("distrib.keras.metrics", "MeanIoU", "subclass"),
        ("distrib.keras.losses", "Dice", "subclass"),
        ("distrib.keras.activations", "glu", "multiply"),
        ("distrib.tf", "io", "npy"),
        ("distrib.tf.nn", "conv2d", "not supported"),
        ("distrib.tf.distribute", "TPUStrategy", "MirroredStrategy"),
    ],
)
def test_what_there_is_not_is_a_sentence(module, name, advice):
    with pytest.raises(MissingNameError, match=advice):
        getattr(importlib.import_module(module), name)
    with pytest.raises(ImportError, match=advice):
        exec(f"from {module} import {name}")


def test_an_unknown_name_has_a_hint_and_hasattr_works():
    assert not hasattr(keras.layers, "Dens")
    with pytest.raises(AttributeError, match="Did you mean Dense"):
        keras.layers.Dens  # noqa: B018


def test_operations_are_those_of_tensorflow():
    x = np.array([[1.0, 5.0], [3.0, 2.0]], np.float32)
    assert tf.argmax(x).numpy().tolist() == [1, 0]
    assert tf.argmax(x, axis=1).dtype == tf.int64
    assert tf.reduce_mean([1, 2]).numpy() == 1, "of ints an int"
    assert tf.reduce_sum(x, axis=[0, 1]).numpy() == 11
    assert tf.reduce_sum(np.ones(3, np.uint8)).dtype == np.uint8
    assert tf.constant([1.0]).dtype == tf.float32
    assert tf.cast([1.7, -1.7], tf.int32).numpy().tolist() == [1, -1]
    assert tf.one_hot([0, 2, 5], 3).numpy().tolist() == [[1, 0, 0], [0, 0, 1], [0, 0, 0]]
    assert tf.concat([x, x], 1).shape == (2, 4)
    assert tf.expand_dims(x, -1).shape == (2, 2, 1)
    assert tf.where(x > 2).numpy().tolist() == [[0, 1], [1, 0]]
    assert tf.range(3).dtype == tf.int32
    assert [part.tolist() for part in tf.split(np.arange(5), [2, 3])] == [[0, 1], [2, 3, 4]]
    assert tf.shape(x).numpy().tolist() == [2, 2]
    assert tf.gather(x, [1]).numpy().tolist() == [[3, 2]]
    assert tf.boolean_mask([1, 2, 3], [True, False, True]).numpy().tolist() == [1, 3]
    assert tf.matmul(x, x, transpose_b=True).numpy()[0, 0] == 26
    assert float(tf.norm([3.0, 4.0])) == 5
    labels, logits = np.array([1, 0]), np.array([[1.0, 2.0], [0.0, 3.0]], np.float32)
    dense = tf.nn.softmax_cross_entropy_with_logits(tf.one_hot(labels, 2), logits)
    np.testing.assert_allclose(
        tf.nn.sparse_softmax_cross_entropy_with_logits(labels, logits), dense, rtol=1e-6
    )
    assert float(tf.nn.compute_average_loss([1.0, 3.0], global_batch_size=8)) == 0.5
    assert f"{tf.reduce_mean(x):.2f}" == "2.75"


def test_sorting_searching_and_running_sums():
    """The numbers are those of TensorFlow 2.21."""
    x = np.array([3.0, 1.0, 3.0, 2.0], np.float32)
    assert tf.argsort(x).numpy().tolist() == [1, 3, 0, 2]
    assert tf.argsort(x, direction="DESCENDING").numpy().tolist() == [0, 2, 3, 1]
    assert tf.argsort(x).dtype == tf.int32
    values, indices = tf.math.top_k(x, k=3)
    assert values.numpy().tolist() == [3, 3, 2]
    assert indices.numpy().tolist() == [0, 2, 3]
    assert tf.nn.top_k([[1, 2], [4, 3]]).values.numpy().tolist() == [[2], [4]]
    y, idx = tf.unique([5, 1, 5, 2])
    assert y.numpy().tolist() == [5, 1, 2]
    assert idx.numpy().tolist() == [0, 1, 0, 2]
    assert tf.unique_with_counts([5, 1, 5, 2]).count.numpy().tolist() == [2, 1, 1]
    assert tf.cumsum([1, 2, 3]).numpy().tolist() == [1, 3, 6]
    assert tf.cumsum([1, 2, 3], exclusive=True).numpy().tolist() == [0, 1, 3]
    assert tf.cumsum([1, 2, 3], exclusive=True, reverse=True).numpy().tolist() == [5, 3, 0]
    assert tf.cumsum([[1, 2], [3, 4]], axis=1).numpy().tolist() == [[1, 3], [3, 7]]
    assert tf.math.cumprod([2, 3, 4], reverse=True).numpy().tolist() == [24, 12, 4]
    assert tf.math.bincount([1, 1, 3]).numpy().tolist() == [0, 2, 0, 1]
    assert tf.searchsorted([1, 3, 5], [0, 3, 6], side="right").numpy().tolist() == [0, 2, 3]
    assert tf.math.count_nonzero([[0, 1], [2, 3]], axis=0).numpy().tolist() == [1, 2]
    np.testing.assert_allclose(tf.math.reduce_variance(x), 0.6875)
    np.testing.assert_allclose(tf.math.reduce_std([[1.0, 3.0]], axis=1), [1.0])
    np.testing.assert_allclose(tf.reduce_logsumexp([1000.0, 1000.0]), 1000.6931, rtol=1e-6)
    assert tf.reduce_logsumexp(np.ones((2, 3), np.float32), axis=1, keepdims=True).shape == (2, 1)
    with pytest.raises(distrib.ConfigError, match="the size of the last axis"):
        tf.math.top_k(x, k=5)
    with pytest.raises(distrib.ConfigError, match="ASCENDING"):
        tf.argsort(x, direction="DOWN")


def test_products_of_matrices():
    a = np.array([[2.0, 1.0], [1.0, 3.0]], np.float32)
    np.testing.assert_allclose(tf.linalg.inv(a) @ a, np.eye(2), atol=1e-6)
    np.testing.assert_allclose(tf.linalg.det(a), 5, rtol=1e-6)
    np.testing.assert_allclose(tf.linalg.solve(a, [[3.0], [4.0]]), [[1.0], [1.0]], rtol=1e-6)
    np.testing.assert_allclose(tf.linalg.cholesky(a) @ tf.transpose(tf.linalg.cholesky(a)), a, rtol=1e-6)
    assert tf.linalg.trace(a).numpy() == 5
    assert tf.linalg.diag([1, 2]).numpy().tolist() == [[1, 0], [0, 2]]
    assert tf.linalg.diag_part(a).numpy().tolist() == [2, 3]
    assert tf.einsum("ij,jk->ik", a, a).numpy().tolist() == (a @ a).tolist()
    assert tf.tensordot(a, a, axes=[[1], [0]]).numpy().tolist() == (a @ a).tolist()
    assert tf.linalg.matrix_transpose(np.ones((3, 2, 4))).shape == (3, 4, 2)
    with pytest.raises(MissingNameError, match=r"numpy\.linalg"):
        _ = tf.linalg.svd


def test_random_arrays_follow_the_seed():
    tf.random.set_seed(4)
    first = tf.random.normal((3,)), tf.random.uniform((3,))
    keras.utils.set_random_seed(4)
    np.testing.assert_array_equal(tf.random.normal((3,)), first[0])
    np.testing.assert_array_equal(tf.random.uniform((3,)), first[1])
    assert not np.array_equal(tf.random.normal((3,)), first[0])


def test_settings_without_effect():
    assert tf.config.list_physical_devices("GPU") == []
    assert tf.config.list_physical_devices()[0].device_type == "CPU"
    tf.config.experimental.set_memory_growth(None, True)
    tf.config.threading.set_intra_op_parallelism_threads(2)
    with tf.device("/cpu:0"):
        assert tf.executing_eagerly()

    @tf.function(reduce_retracing=True)
    def double(x):
        return 2 * x

    assert double(2) == 4
    keras.backend.set_floatx("float32")
    with pytest.raises(distrib.ConfigError, match="dtype='float64'"):
        keras.backend.set_floatx("float64")


def test_strategies_by_their_other_names(caplog):
    caplog.set_level("INFO", logger="distrib")
    strategy = tf.distribute.MirroredStrategy(
        ["/gpu:0", "/gpu:1"], cross_device_ops=tf.distribute.HierarchicalCopyAllReduce()
    )
    assert "mpirun" in caplog.text
    assert strategy.num_replicas_in_sync == 1
    assert isinstance(tf.distribute.MultiWorkerMirroredStrategy(), distrib.MirroredStrategy)
    one = tf.distribute.OneDeviceStrategy("/cpu:0")
    with one.scope():
        assert distrib.get_strategy() is one
    assert one.experimental_local_results(one.run(lambda: 3)) == (3,)
    resolver = strategy.cluster_resolver
    assert (resolver.task_type, resolver.task_id) == ("worker", 0)
    variable = tf.Variable(1.0, synchronization="ON_READ", aggregation="SUM")
    assert variable.numpy() == 1
    with pytest.raises(distrib.ConfigError, match="/cpu:0"):
        tf.distribute.OneDeviceStrategy("cpu")


def test_labels_as_keras_prepares_them():
    np.testing.assert_array_equal(keras.utils.to_categorical([0, 2], 3), [[1, 0, 0], [0, 0, 1]])
    assert keras.utils.to_categorical([[1], [0]]).shape == (2, 2)
    np.testing.assert_allclose(keras.utils.normalize(np.array([[3.0, 4.0], [0, 0]])), [[0.6, 0.8], [0, 0]])
    with pytest.raises(distrib.DataError, match="labels 0 to 1"):
        keras.utils.to_categorical([0, 2], 2)
    with pytest.raises(distrib.DataError, match="integer"):
        keras.utils.to_categorical([0.5])


def test_a_module_has_the_variables_of_its_attributes():
    class Inner(tf.Module):
        def __init__(self):
            super().__init__()
            self.w = tf.Variable([1.0, 2.0])
            self.count = tf.Variable(0, trainable=False)

    class Outer(tf.Module):
        def __init__(self):
            super().__init__(name="outer")
            self.inner, self.b = Inner(), [tf.Variable(1.0)]
            self.again = self.inner.w

    outer = Outer()
    assert outer.name == "outer"
    assert outer.inner.name == "inner"
    assert len(outer.variables) == 3
    assert len(outer.trainable_variables) == 2


def test_functions_of_losses_have_a_value_for_each_vector():
    """As in Keras: the mean along the last axis only."""
    rng = np.random.default_rng(0)
    y, p = (
        rng.integers(0, 2, (2, 3, 4)).astype(np.float32),
        rng.uniform(0.1, 0.9, (2, 3, 4)).astype(np.float32),
    )
    expected = -np.mean(y * np.log(p) + (1 - y) * np.log(1 - p), axis=-1)
    np.testing.assert_allclose(keras.losses.binary_crossentropy(y, p), expected, rtol=1e-5)
    labels = rng.integers(0, 4, (2, 3))
    found = keras.losses.sparse_categorical_crossentropy(labels, p, from_logits=True)
    assert found.shape == (2, 3)


def test_dropout_keeps_a_share():
    kept = keras.random.dropout(np.ones(10_000, np.float32), 0.25, seed=3)
    assert set(np.unique(kept)) == {np.float32(0), np.float32(1 / 0.75)}
    assert abs(float(tf.reduce_mean(kept)) - 1) < 0.03
    assert not np.array_equal(tf.nn.dropout(np.ones(50), 0.5), tf.nn.dropout(np.ones(50), 0.5))
