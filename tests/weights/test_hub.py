"""The Hub's own client against a stand-in of its server on this machine (no network)."""

import base64
import hashlib
import json
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import unquote, urlparse

import mne
import numpy as np
import pytest
import torch

from dare_sklearn import DAREClassifier, DAREEmbedder, DAREModel, load_encoder, simulate_epochs


class Hub(BaseHTTPRequestHandler):
    """Repositories of files, by what the client asks of the Hub to write and to read them."""

    protocol_version = "HTTP/1.1"
    repos: dict[str, dict[str, bytes]] = {}
    asked: list[str] = []

    def log_message(self, *args):
        pass

    def answer(self, body, status=200, **headers):
        body = body if isinstance(body, bytes) else json.dumps(body).encode()
        self.send_response(status)
        for name, value in {"Content-Length": len(body), **headers}.items():
            self.send_header(name.replace("_", "-"), str(value))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def serve(self):
        sent = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        path, url = unquote(urlparse(self.path).path), f"http://{self.headers['Host']}/"
        self.asked.append(path)
        parts = path.strip("/").split("/")
        if path == "/api/repos/create":
            asked = json.loads(sent)
            name = f"{asked['organization']}/{asked['name']}"
            self.repos.setdefault(name, {})
            return self.answer({"url": url + name})
        if path == "/api/validate-yaml":
            return self.answer({"errors": [], "warnings": []})
        name, action = ("/".join(parts[2:4]), parts[4:5]) if parts[0] == "api" else (
            "/".join(parts[:2]), parts[2:3]
        )  # fmt: skip
        if (files := self.repos.get(name)) is None:
            return self.answer({"error": "Repository not found"}, 404, X_Error_Code="RepoNotFound")
        if action == ["preupload"]:
            found = [{"uploadMode": "regular", **its} for its in json.loads(sent)["files"]]
            return self.answer({"files": [{"shouldIgnore": False, **its} for its in found]})
        if action == ["commit"]:
            for line in map(json.loads, sent.splitlines()):
                if line["key"] == "file":
                    files[line["value"]["path"]] = base64.b64decode(line["value"]["content"])
            return self.answer({"commitUrl": url + name, "commitOid": "0" * 40})
        if action == ["resolve"]:
            if (content := files.get("/".join(parts[4:]))) is None:
                return self.answer({}, 404, X_Error_Code="EntryNotFound", X_Repo_Commit="0" * 40)
            etag = hashlib.sha1(content).hexdigest()
            return self.answer(content, ETag=f'"{etag}"', X_Repo_Commit="0" * 40)
        if action == ["tree"]:
            found = [{"type": "file", "path": f, "size": len(c)} for f, c in files.items()]
            return self.answer([{"oid": "0" * 40, **its} for its in found])
        listed = [{"rfilename": file} for file in files]
        return self.answer({"id": name, "sha": "0" * 40, "siblings": listed})

    do_GET = do_HEAD = do_POST = serve


@pytest.fixture
def hub(tmp_path, monkeypatch):
    constants = pytest.importorskip(
        "huggingface_hub", reason="huggingface_hub is not installed: pip install huggingface_hub"
    ).constants
    with ThreadingHTTPServer(("127.0.0.1", 0), Hub) as server:
        url = f"http://127.0.0.1:{server.server_port}"
        template = url + "/{repo_id}/resolve/{revision}/{filename}"
        monkeypatch.setattr(constants, "ENDPOINT", url)
        monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", template)
        monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
        monkeypatch.setattr(constants, "HF_HUB_DISABLE_XET", True)
        monkeypatch.setattr(Hub, "repos", {})
        monkeypatch.setattr(Hub, "asked", [])
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        yield Hub
        server.shutdown()


@pytest.fixture(scope="module")
def epochs():
    return simulate_epochs(n_subjects=1, n_epochs=6, ch_names=["C3", "Cz", "C4"], random_state=0)


def test_there_and_back(hub, epochs, monkeypatch):
    import huggingface_hub

    embedder = DAREEmbedder(None, random_state=0).fit(epochs)
    embedder.push_to_hub("lab/tiny")
    assert hub.repos["lab/tiny"].keys() == {"config.json", "model.safetensors"}
    hub.repos["lab/tiny"] |= {"model.pkl": b"never asked for", "README.md": b"# A card"}
    again = DAREEmbedder("lab/tiny").fit(epochs)
    assert np.array_equal(again.transform(epochs), embedder.transform(epochs))
    read = {path.rpartition("/")[2] for path in hub.asked if "/resolve/" in path}
    assert read == {"config.json", "model.safetensors", "README.md"}  # nothing that runs
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    hub.asked.clear()
    load_encoder("lab/tiny")
    assert not hub.asked


def test_revision(hub, epochs):
    DAREEmbedder(None, random_state=0).fit(epochs).push_to_hub("lab/tiny")
    load_encoder("lab/tiny@v1.0")
    assert "/api/models/lab/tiny/revision/v1.0" in hub.asked


@pytest.mark.filterwarnings("ignore:Modifying chs_info argument:UserWarning:braindecode")
def test_model_of_braindecode(hub):
    info = mne.create_info(["C3", "Cz", "C4"], 256.0, "eeg").set_montage("colin27_1005")
    model = DAREModel(
        2, chs_info=info["chs"], n_times=256, sfreq=256.0, encoder="nano", adaptation="linear"
    )
    model.push_to_hub("lab/model", ignore_patterns="*.bin")  # a pickle, which nothing needs
    assert hub.repos["lab/model"].keys() == {"README.md", "config.json", "model.safetensors"}
    again = DAREModel.from_pretrained("lab/model", n_outputs=4)
    assert again.n_outputs == 4
    for name, value in model.backbone.state_dict().items():
        assert torch.equal(again.backbone.state_dict()[name], value)


def test_probe(hub, epochs):
    y = epochs.metadata["label"].to_numpy()
    probe = DAREClassifier(None, spatial_init="spline", max_epochs=1, random_state=0).fit(epochs, y)
    probe.push_to_hub("lab/probe")
    again = DAREClassifier.from_pretrained("lab/probe")
    assert np.array_equal(again.predict_proba(epochs), probe.predict_proba(epochs))


def test_a_path_goes_first(hub, epochs, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    DAREEmbedder(None, random_state=0).fit(epochs).save_pretrained("lab/tiny")
    assert isinstance(load_encoder("lab/tiny"), torch.nn.Module)
    assert not hub.asked


def test_missing_repository(hub):
    with pytest.raises(FileNotFoundError, match="no path of that name.*404"):
        load_encoder("lab/none")


def test_without_the_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    with pytest.raises(ImportError, match="pip install huggingface_hub"):
        load_encoder("lab/none")


@pytest.mark.parametrize("name", ["./lab/none", "/lab/none", "a/b/c", "none", "lab/none.ckpt/x"])
def test_paths_are_no_ids(hub, name):
    with pytest.raises(FileNotFoundError, match="neither a shipped name"):
        load_encoder(name)
    assert not hub.asked
