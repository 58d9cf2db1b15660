"""DAREModel keeps what braindecode asks of its models, and trains under its trainers."""

from __future__ import annotations

import copy
import json
import pickle

import mne
import numpy as np
import pytest
import torch
from braindecode import EEGClassifier, EEGRegressor
from braindecode.models.base import EEGModuleMixin
from braindecode.models.util import (
    _get_possible_signal_params,
    _get_signal_params,
    models_dict,
)
from sklearn.base import clone
from torch.nn import functional as F

from dare_sklearn import DAREClassifier, DAREEmbedder, simulate_epochs
from dare_sklearn.models import DAREModel
from dare_sklearn.modules.config import DAREConfig
from dare_sklearn.modules.networks import Encoder, init_weights
from dare_sklearn.signals.electrodes import (
    TEN_TWENTY,
    spline_matrix,
    template_montage,
    template_positions,
)
from dare_sklearn.signals.grid import resample
from dare_sklearn.weights.load import load_encoder, save_model

REQUIRED = ["n_outputs", "n_chans", "n_times", "sfreq"]
SIGNAL = {"n_outputs": 2, "n_chans": 3, "n_times": 128, "sfreq": 128.0}
NAMES = ["C3", "Cz", "C4", "Pz"]
TINY = DAREConfig(2, 16, (1, 1, 1), 2, amplitude_uv=20.0, center=True)


def make(**params):
    torch.manual_seed(0)
    return DAREModel(**{**SIGNAL, **params})


def signals(n=4, n_chans=3, n_times=128):
    return 10 * torch.randn(n, n_chans, n_times, generator=torch.Generator().manual_seed(1))


# braindecode places the electrodes of its test signals at random
ODD_PLACES = pytest.mark.filterwarnings("ignore:DAREModel. some channels have names")


def channels(names, montage="colin27_1005"):
    info = mne.create_info(names, 128.0, "eeg")
    if montage:
        info.set_montage(montage)
    return info["chs"]


def weights(module):
    return {name: value.clone() for name, value in module.state_dict().items()}


def changed(before, module):
    return {name for name, value in module.state_dict().items() if not before[name].equal(value)}


def within_bounds(model):
    parts = [m for m in model.modules() if vars(m).get("max_norm")]
    assert len(parts) >= 3  # spatial, and two of the head
    return all(bool((p.weight.flatten(1).norm(dim=1) <= p.max_norm + 1e-5).all()) for p in parts)


@pytest.fixture
def folder(tmp_path):
    torch.manual_seed(3)
    encoder = Encoder(TINY)
    init_weights(encoder)
    save_model(tmp_path / "encoder", encoder)
    return tmp_path / "encoder"


@pytest.fixture(scope="module")
def epochs():
    epochs = simulate_epochs(
        "motor", n_subjects=1, n_epochs=12, ch_names=NAMES, sfreq=128.0, random_state=0
    )
    return epochs.crop(0.0, 0.5)


@pytest.fixture(scope="module")
def windows(epochs):
    """A braindecode data set, which holds volts."""
    from braindecode.datasets import create_from_mne_epochs

    codes = {code: i for i, code in enumerate(sorted(epochs.event_id.values()))}
    n_times = len(epochs.times)
    with mne.use_log_level("error"), pytest.warns(UserWarning, match="fast epoch access"):
        return create_from_mne_epochs(
            [epochs], n_times, n_times, False, descriptions=[{"subject": 1}], mapping=codes
        )


# shapes and parameters -----------------------------------------------------------------------


@ODD_PLACES
@pytest.mark.parametrize(
    "params",
    _get_possible_signal_params(_get_signal_params(None), REQUIRED),
    ids=lambda params: "-".join(name for name in params if params[name] is not None),
)
def test_every_way_to_describe_the_signal(params):
    x = torch.randn(3, 3, 1000)
    model = DAREModel(**params)
    assert model(x).shape == (3, 2)
    assert model.get_output_shape() == (1, 2)
    assert (model.n_chans, model.n_times, model.sfreq) == (3, 1000, 250.0)


def test_it_is_a_braindecode_model():
    model = make()
    assert isinstance(model, EEGModuleMixin)
    assert [name for name, _ in model.named_children()][-1] == "final_layer"
    assert "final_layer" in str(model)  # torchinfo's table runs the model


@pytest.mark.parametrize("missing", REQUIRED)
def test_missing_parameters(missing):
    with pytest.raises(ValueError, match=f"{missing}.*(not specified|could not be inferred)"):
        make(**{missing: None})


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"adaptation": "frozen"}, "'adaptation' parameter of DAREModel must be a str among"),
        ({"adaptation": "linear"}, "needs the channels: pass chs_info"),
        ({"views": "all"}, "'views' parameter of DAREModel must be a str among"),
        ({"views": "electrodes"}, "needs adaptation='linear'"),
        ({"spatial_init": "zeros"}, "'spatial_init' parameter of DAREModel must be a str among"),
        ({"unit": "mV"}, "'unit' parameter of DAREModel must be a str among"),
        ({"size": "huge"}, "size must be one of"),
        (
            {"spatial_layers": 0},
            "'spatial_layers' parameter of DAREModel must be an int in the range",
        ),
        ({"temporal_kernel": 8}, "temporal_kernel must be odd"),
        ({"target_channels": ["Cz", "X1"]}, "encoder's table, got X1"),
        ({"target_channels": []}, "encoder's table, got none"),
        ({"n_times": 31}, "shorter than one patch of 0.25 s"),
    ],
)
def test_wrong_parameters(params, message):
    with pytest.raises(ValueError, match=message):
        make(**params)


@pytest.mark.parametrize("shape", [(128,), (3, 128), (4, 3, 128, 1), (4, 2, 128), (4, 3, 127)])
def test_wrong_shapes(shape):
    with pytest.raises(ValueError, match="batch, 3 channels, 128 samples"):
        make()(torch.randn(shape))


def test_all_adapters():
    x = signals()
    model = make(
        adapter_dropout=0.1, drop_prob=0.2, spatial_layers=2, target_channels=["Cz", "T3"],
        temporal_kernel=5,
    )  # fmt: skip
    assert model(x).shape == (4, 2)
    assert model(x[:1]).shape == (1, 2)  # batch norm with one window
    assert [m.p for m in model.modules() if isinstance(m, torch.nn.Dropout)] == [0.1, 0.2]
    assert model.backbone.temporal.conv.weight.shape == (2, 1, 5)


# what the network computes ---------------------------------------------------------------------


@pytest.mark.parametrize(
    ("sfreq", "n_times"), [(100.0, 101), (128.0, 128), (173.61, 174), (256.0, 256), (1000.0, 1001)]
)
def test_resampling_is_that_of_the_estimators(sfreq, n_times):
    model = make(sfreq=sfreq, n_times=n_times)
    seen = []
    model.backbone.register_forward_pre_hook(lambda _, args: seen.append(args[0]))
    x = (signals(n_times=n_times) + 50).requires_grad_()
    model(x).sum().backward()
    expected = resample(x.detach().numpy(), sfreq, 256.0)[..., : model.n_samples]
    assert model.n_samples == 256
    np.testing.assert_allclose(seen[0].detach().numpy(), expected, atol=1e-4 * expected.std())
    assert (x.grad != 0).any(dim=-1).all()


def test_an_incomplete_patch_is_cut_with_a_word():
    with pytest.warns(UserWarning, match="reads whole patches"):
        model = make(n_times=150)
    x = signals(n_times=150)
    model.eval()
    assert model(x).shape == (4, 2)
    assert not any("resampling" in name for name in model.state_dict())


@pytest.mark.parametrize("adaptation", ["conv-linear", "finetune"])
def test_it_is_the_network_of_the_estimator(epochs, adaptation):
    y = epochs.events[:, 2]
    clf = DAREClassifier(
        None, adaptation=adaptation, max_epochs=1, temporal_kernel=3, random_state=0
    ).fit(epochs, y)
    chs, n_times = epochs.info["chs"], len(epochs.times)
    model = DAREModel(
        2, chs_info=chs, n_times=n_times, sfreq=128.0, adaptation=adaptation, temporal_kernel=3
    ).eval()
    fitted = {
        f"final_layer.{name[5:]}" if name.startswith("head.") else f"backbone.{name}": value
        for name, value in clf.module_.state_dict().items()
    }
    model.load_state_dict(fitted)
    x = torch.from_numpy(epochs.get_data(units="uV").astype(np.float32))
    proba = model(x).softmax(dim=1).detach().numpy()
    np.testing.assert_allclose(proba, clf.predict_proba(epochs), atol=1e-5)
    model.unit = "V"
    np.testing.assert_allclose(model(x * 1e-6).softmax(dim=1).detach().numpy(), proba, atol=1e-4)


def test_features_and_head():
    model, x = make(size="base").eval(), signals()
    out = model(x, return_features=True)
    assert out["features"].shape == (4, 4, 4 * 256)  # windows, patches, tokens x width
    assert out["cls_token"] is None
    before, old = weights(model.backbone), model.final_layer
    model.reset_head(5)
    assert model(x).shape == (4, 5)
    assert model.n_outputs == 5 and model.get_config()["n_outputs"] == 5
    assert model.final_layer is not old and not model.final_layer.training
    assert not changed(before, model.backbone)
    assert within_bounds(model)


# the linear adaptation ---------------------------------------------------------------------------


def linear_model(names=("C3", "Cz", "TP9"), **params):
    return make(**{"n_chans": None, "chs_info": channels(list(names)), "adaptation": "linear"}
                | params)  # fmt: skip


@pytest.mark.filterwarnings("ignore:.*channels that the encoder does not know are interpolated")
@pytest.mark.parametrize("views", ["joint", "electrodes"])
def test_linear_reads_what_the_embedder_reads(folder, views):
    names = ["C3", "Cz", "TP9"]
    model = linear_model(names, encoder=folder, views=views).eval()
    x = signals()
    features = model(x, return_features=True)["features"]
    embedder = DAREEmbedder(
        folder, views=views, pooling="flatten", ch_names=names, sfreq=128.0, unit="uV"
    )
    expected = embedder.fit_transform(x.numpy())
    np.testing.assert_allclose(features.flatten(1).numpy(), expected, atol=1e-4)
    assert model(x).shape == (4, 2) and model.get_output_shape() == (1, 2)


def test_linear_advises_no_parameter_that_it_lacks():
    with pytest.warns(UserWarning, match="DAREModel: .* interpolated: TP9 -> TP7.$"):
        linear_model()
    with pytest.raises(ValueError, match="10-10 system, or leave them out.$"):
        linear_model(chs_info=mne.create_info(["C3", "X1"], 128.0, "eeg")["chs"])


def test_linear_trains_the_head_and_nothing_else():
    model = linear_model(["C3", "Cz", "C4"]).train()
    assert not model.backbone.encoder.training
    assert {name.split(".")[0] for name, p in model.named_parameters() if p.requires_grad} == {
        "final_layer"
    }
    before = weights(model)
    optimizer = torch.optim.AdamW(model.parameters(), lr=0.01)
    F.cross_entropy(model(signals()), torch.tensor([0, 1, 0, 1])).backward()
    optimizer.step()
    assert all(name.startswith("final_layer.") for name in changed(before, model))


@pytest.mark.filterwarnings("ignore:Modifying chs_info argument")
def test_weights_fit_another_montage_rate_and_length(folder, tmp_path):
    pytest.importorskip("huggingface_hub", reason="pip install huggingface_hub")
    model = linear_model(["C3", "Cz", "C4"], encoder=folder, views="electrodes")
    model.save_pretrained(tmp_path)  # the layout of the Hub
    same = DAREModel.from_pretrained(tmp_path).eval()
    torch.testing.assert_close(same(signals()), model.eval()(signals()), rtol=0, atol=0)
    three = DAREModel.from_pretrained(tmp_path, n_outputs=3)
    assert three(signals()).shape == (4, 3)
    layout = {"chs_info": channels(["Fz", "Oz"]), "n_chans": 2, "sfreq": 100.0, "n_times": 200}
    with pytest.warns(UserWarning, match="head of DAREModel starts anew"):
        other = DAREModel.from_pretrained(tmp_path, n_outputs=5, **layout)
    assert other(torch.randn(1, 2, 200)).shape == (1, 5)
    assert not changed(weights(other.backbone.encoder), model.backbone.encoder)
    with pytest.raises(RuntimeError, match="size mismatch"):
        other.load_state_dict(model.state_dict())


@pytest.mark.parametrize("views", ["joint", "electrodes"])
def test_a_frozen_model_as_benchmarks_use_it(folder, views):
    """OpenEEG-Bench's steps: weights where names and shapes agree, then a head of its own."""
    published = linear_model(["C3", "Cz", "C4"], encoder=folder, views=views).state_dict()
    model = linear_model(["Fz", "Oz"], size=TINY.to_dict(), views=views, n_times=256)
    own = model.state_dict()
    fits = {k: v for k, v in published.items() if k in own and own[k].shape == v.shape}
    missing = model.load_state_dict(fits, strict=False).missing_keys
    assert all(name.startswith("final_layer.") for name in missing)
    assert not changed(weights(model.backbone.encoder), load_encoder(folder))
    model.final_layer = torch.nn.Flatten(1)
    x = signals(n_chans=2, n_times=256)
    features = model.train()(x)
    n_tokens = 8 if views == "joint" else 16
    assert features.shape == (4, n_tokens * 32)
    torch.testing.assert_close(model.eval()(x), features)
    model.final_layer = torch.nn.Sequential(torch.nn.Flatten(1), torch.nn.LazyLinear(3))
    assert model(x).shape == (4, 3)


# the start of the spatial convolution ----------------------------------------------------------


def spatial(model):
    return model.backbone.spatial.layers[0].weight.detach()[:, :, 0]


def test_spline_start_from_names():
    model = make(n_chans=None, chs_info=channels(["C3", "Cz", "Oz"], None), target_channels=["Cz"])
    torch.testing.assert_close(spatial(model), torch.tensor([[0.0, 1.0, 0.0]]))


def test_spline_start_from_positions():
    chs = channels([name for name in template_montage().ch_names if name.upper() in TEN_TWENTY])
    renamed = [{**ch, "ch_name": f"E{i}"} for i, ch in enumerate(chs)]
    start = spatial(make(n_chans=None, chs_info=renamed))
    places = [template_positions()[ch["ch_name"].upper()] for ch in chs]
    names = [ch["ch_name"] for ch in renamed]
    expected = spline_matrix(dict(zip(names, places, strict=True)), TEN_TWENTY)
    torch.testing.assert_close(start, torch.from_numpy(expected), atol=0.02, rtol=0)
    again = spatial(make(n_chans=None, chs_info=renamed, spatial_init="random"))
    assert (again - start).abs().max() > 0.1


@pytest.mark.parametrize("loc", [None, np.zeros(12), np.full(12, np.nan)])
def test_unknown_positions_start_with_weight_zero(loc):
    chs = [{"ch_name": "Cz"}, {"ch_name": "E1", "loc": loc}]
    with pytest.warns(UserWarning, match="not known where E1 are, so they start with weight zero"):
        start = spatial(make(n_chans=None, chs_info=chs))
    assert not start[:, 1].any()
    torch.testing.assert_close(start[:, :1], spatial(make(n_chans=None, chs_info=chs[:1])))
    with pytest.warns(UserWarning, match="E1 are, so they start at random"):
        start = spatial(make(n_chans=None, chs_info=chs[1:]))
    torch.testing.assert_close(start, spatial(make(n_chans=1)))


# adaptation ------------------------------------------------------------------------------------


@pytest.mark.parametrize("adaptation", ["conv-linear", "finetune"])
def test_what_is_trained(adaptation):
    model = make(adaptation=adaptation).train()
    encoder, trained = model.backbone.encoder, adaptation == "finetune"
    assert encoder.training is trained
    before = weights(model)
    optimizer = torch.optim.AdamW(model.parameters(), lr=0.01)
    F.cross_entropy(model(signals()), torch.tensor([0, 1, 0, 1])).backward()
    optimizer.step()
    assert all((p.grad is not None) is trained for p in encoder.parameters())
    moved = changed(before, model)
    assert {"backbone.spatial.layers.0.weight", "final_layer.output.weight"} <= moved
    assert any(name.startswith("backbone.encoder.") for name in moved) is trained
    assert not model.eval().backbone.encoder.training


def test_weights_stay_bounded_in_any_training_loop():
    model = make(temporal_kernel=3, adaptation="finetune")
    assert within_bounds(model)
    optimizer = torch.optim.SGD(model.parameters(), lr=100.0)
    model.train()
    for _ in range(3):
        loss = model(signals()).square().sum()
        assert within_bounds(model)
        loss.backward()
        optimizer.step()
    assert not within_bounds(model)  # the optimizer does leave the bounds
    model.eval()
    assert within_bounds(model)


def test_two_passes_before_one_backward():
    model = make().train()
    model.final_layer.output.weight.data *= 100
    (model(signals()).sum() + model(signals(2)).sum()).backward()
    assert model.final_layer.output.weight.grad.isfinite().all()


def test_volts_are_noticed_once():
    model = make().eval()
    model(1e-6 * signals())  # evaluation says nothing
    model.train()
    model(torch.zeros(2, 3, 128))
    model = make().train()
    with pytest.warns(UserWarning, match="unit='uV'.*1e-05 uV, which is not EEG"):
        model(1e-6 * signals())
    model(1e-6 * signals())
    make(unit="V").train()(1e-6 * signals())
    with pytest.warns(UserWarning, match="unit='V', .* V, which is not EEG.* Pass the right unit"):
        make(unit="V").train()(signals())
    with pytest.warns(UserWarning, match="not EEG.*or scale the values"):
        make().train()(1e6 * signals())


# copies, files, compilers ------------------------------------------------------------------------


@pytest.mark.parametrize("copied", [copy.deepcopy, lambda m: pickle.loads(pickle.dumps(m))])
def test_copies(copied):
    model, x = make(n_chans=None, chs_info=channels(["C3", "Cz", "C4"])).eval(), signals()
    again = copied(model)
    torch.testing.assert_close(again(x), model(x), rtol=0, atol=0)
    again.train()
    assert not again.backbone.encoder.training


def test_evaluation_is_pure():
    model, x = make(temporal_kernel=3).eval(), signals()
    before, given = weights(model), x.clone()
    out = model(x)
    torch.testing.assert_close(model(x), out, rtol=0, atol=0)
    torch.testing.assert_close(model(x.flip(0)), out.flip(0))
    other = x.clone()
    other[1:] *= -3
    torch.testing.assert_close(model(other)[0], out[0])
    assert not changed(before, model) and x.equal(given)


@pytest.mark.parametrize("chs_info", [None, channels(["C3", "Cz", "C4"])], ids=["n_chans", "info"])
def test_configuration_and_weights_give_the_model_back(chs_info):
    model = make(
        n_chans=3, chs_info=chs_info, target_channels=["Cz", "C4"], unit="V", drop_prob=0.1
    ).eval()
    config = json.loads(json.dumps(model.get_config()))
    assert config["drop_prob"] == 0.1 and config["target_channels"] == ["Cz", "C4"]
    if chs_info is None:
        again = DAREModel.from_config(config)
    else:
        with pytest.warns(UserWarning, match="_deserialize_chs_info"):
            again = DAREModel.from_config(config)
    again.eval().load_state_dict(model.state_dict())
    x = 1e-6 * signals()
    torch.testing.assert_close(again(x), model(x), rtol=0, atol=0)


@pytest.mark.parametrize("kind", [str, lambda path: path])
def test_pretrained_encoder(folder, kind):
    model = make(encoder=kind(folder)).eval()
    expected = load_encoder(folder).state_dict()
    assert not changed(weights(model.backbone.encoder), load_encoder(folder))
    assert model.backbone.encoder.state_dict().keys() == expected.keys()
    for path in folder.iterdir():  # what is saved must not need the encoder's files
        path.unlink()
    again = DAREModel.from_config(json.loads(json.dumps(model.get_config()))).eval()
    assert again.backbone.encoder.config == TINY
    again.load_state_dict(model.state_dict())
    torch.testing.assert_close(again(signals()), model(signals()), rtol=0, atol=0)


def test_export():
    model, x = make(chs_info=channels(["C3", "Cz", "C4"]), temporal_kernel=3).eval(), signals()
    batch = torch.export.Dim("batch")
    program = torch.export.export(model, (x,), dynamic_shapes={"x": {0: batch}}, strict=False)
    torch.testing.assert_close(program.module()(x), model(x))
    one = signals(1)
    torch.testing.assert_close(program.module()(one.repeat(7, 1, 1)), model(one).repeat(7, 1))


@pytest.mark.parametrize("adaptation", ["conv-linear", "finetune"])
def test_compile(adaptation):
    """Tracing alone: what an inductor makes of the graph is torch's affair."""
    model, x = make(adaptation=adaptation, drop_prob=0.0), signals()
    model.final_layer.output.weight.data *= 100  # a bound that training must restore
    plain = copy.deepcopy(model)
    compiled = torch.compile(model, backend="aot_eager", fullgraph=True)
    for mode in (True, False):
        model.train(mode), plain.train(mode)
        torch.testing.assert_close(compiled(x), plain(x))
    plain.train()(x).sum().backward()
    model.train()
    compiled(x).sum().backward()
    for (name, p), q in zip(model.named_parameters(), plain.parameters(), strict=True):
        torch.testing.assert_close(p.grad, q.grad, msg=name)
    torch.compiler.reset()


@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16])
def test_other_precisions(dtype):
    model = make().eval()
    expected = model(signals())
    out = model.to(dtype)(signals().to(dtype))
    assert out.dtype == dtype
    torch.testing.assert_close(out.float(), expected, atol=0.05, rtol=0.05)


# braindecode's own models make pydantic say so, at its import
@pytest.mark.filterwarnings("ignore:TypedDict class 'ChsInfoType' is closed")
@ODD_PLACES
def test_braindecode_configuration_class(monkeypatch):
    from braindecode.models.config import make_model_config

    monkeypatch.setitem(models_dict, "DAREModel", DAREModel)
    model_config = make_model_config(DAREModel, REQUIRED)
    for params in _get_possible_signal_params(_get_signal_params(None), REQUIRED):
        config = model_config(**params, adaptation="finetune")
        if params["chs_info"] is None:  # arrays go into JSON with numpydantic only
            again = model_config.model_validate(config.model_dump(mode="json"))
            assert again == config
        model = config.create_instance()
        assert isinstance(model, DAREModel) and model.backbone.train_encoder
    with pytest.raises(ValueError, match="adaptation"):
        model_config(**SIGNAL, adaptation="frozen")


# braindecode's trainers --------------------------------------------------------------------------


def trainer(kind=EEGClassifier, module=DAREModel, **params):
    torch.manual_seed(0)
    kwargs = {"max_epochs": 1, "batch_size": 4, "train_split": None, "verbose": 0, "lr": 0.05}
    return kind(module, optimizer=torch.optim.AdamW, **{**kwargs, **params})


@pytest.mark.parametrize("adaptation", ["conv-linear", "finetune"])
def test_classifier_on_windows(windows, folder, adaptation):
    net = trainer(
        module__sfreq=128.0, module__unit="V", module__encoder=folder,
        module__adaptation=adaptation, classes=[0, 1], max_epochs=2,
    )  # fmt: skip
    net.fit(windows, y=None)
    start = load_encoder(folder).state_dict()
    moved = changed(start, net.module_.backbone.encoder)
    assert moved if adaptation == "finetune" else not moved
    assert net.predict(windows).shape == (12,)
    assert within_bounds(net.module_)  # predict sets evaluation mode
    again = pickle.loads(pickle.dumps(net))
    np.testing.assert_array_equal(again.predict_proba(windows), net.predict_proba(windows))


def test_classifier_on_epochs_by_name(epochs, monkeypatch):
    """braindecode reads channels, length and rate off the epochs, and makes microvolts of them."""
    monkeypatch.setitem(models_dict, "DAREModel", DAREModel)
    y = epochs.events[:, 2] - epochs.events[:, 2].min()
    net = clone(trainer(module="DAREModel", classes=[0, 1])).fit(epochs, y)
    model = net.module_
    assert (model.n_chans, model.n_times, model.sfreq) == (4, 65, 128.0)
    x = torch.from_numpy(epochs.get_data(units="uV").astype(np.float32))
    with torch.no_grad():
        expected = model.eval()(x).softmax(dim=1)
    np.testing.assert_allclose(net.predict_proba(epochs), expected, atol=1e-6)


def test_regressor(epochs):
    y = np.linspace(-1, 1, len(epochs), dtype=np.float32)[:, None]
    net = trainer(EEGRegressor)
    net.fit(epochs, y)
    assert net.module_.n_outputs == 1
    assert net.predict(epochs).shape == (12, 1)


def test_classifier_learns(epochs):
    """A difference that any sound chain of steps finds: one channel's amplitude."""
    x = epochs.get_data(units="uV").astype(np.float32)
    y = np.arange(len(x)) % 2
    x[y == 1, 1] += 60 * np.sin(2 * np.pi * 10 * epochs.times).astype(np.float32)
    net = trainer(module__sfreq=128.0, module__spatial_init="random", max_epochs=30, lr=5e-3)
    net.fit(x, y)
    assert (net.predict(x) == y).mean() == 1.0
    assert net.history[-1, "train_loss"] < 0.5 * net.history[0, "train_loss"]
