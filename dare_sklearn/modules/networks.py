"""The networks of DARE-EEG: blocks, encoder, predictor, reconstructor and projection head."""

import math
from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ..signals.electrodes import ELECTRODES
from .config import DAREConfig

LAYER_NORM_EPS = 1e-6
INIT_STD = 0.02
# Tokens that a CPU computes at once: with the small sizes their hidden layer stays in its cache.
TOKENS_AT_ONCE = 4096
POWER_STRIDE = 16  # samples between the overlapping patches whose power is read
N_PRINCIPAL = 16  # principal filters at most


class RotaryEmbedding(nn.Module):
    """Angles by patch index, for the first R = head_dim / 2 dimensions of queries and keys.

    The frequencies are ``10000 ** (-2 i / R)``, i from 0 to R/2 - 1.
    """

    freqs: Tensor

    def __init__(self, head_dim: int) -> None:
        super().__init__()
        n_rotated = head_dim // 2
        exponents = torch.arange(0, n_rotated, 2, dtype=torch.float32) / n_rotated
        self.register_buffer("freqs", 10_000.0**-exponents)  # stored with the weights

    def forward(self, patch_index: Tensor) -> tuple[Tensor, Tensor]:
        """Cosines and sines, each ``(n_tokens, R/2)``, for tokens of the given patches."""
        angles = patch_index.to(self.freqs.dtype)[:, None] / 2 * self.freqs
        return angles.cos(), angles.sin()


def rotate(x: Tensor, rotary: tuple[Tensor, Tensor]) -> Tensor:
    """Rotate the first R dimensions of `x` ``(..., n_tokens, head_dim)``; 2i pairs with 2i + 1.

    `rotary` holds the cosines and sines of `RotaryEmbedding`, each ``(n_tokens, R/2)``.
    """
    cos, sin = rotary
    if torch.compiler.is_compiling():  # Inductor has no complex numbers
        cos, sin = cos.to(x.dtype), sin.to(x.dtype)
        n_rotated = 2 * cos.shape[-1]
        even, odd = x[..., 0:n_rotated:2], x[..., 1:n_rotated:2]
        turned = torch.stack((even * cos - odd * sin, odd * cos + even * sin), dim=-1)
        return torch.cat((turned.flatten(-2), x[..., n_rotated:]), dim=-1)
    wide = torch.promote_types(x.dtype, torch.float32)
    turns = torch.complex(cos.to(wide), sin.to(wide))
    turns = F.pad(turns, (0, x.shape[-1] // 2 - turns.shape[-1]), value=1.0)  # the others stay
    pairs = torch.view_as_complex(x.to(wide).unflatten(-1, (-1, 2)))
    return torch.view_as_real(pairs * turns).flatten(-2).to(x.dtype)


class Attention(nn.Module):
    """Multi-head scaled dot-product attention with a fused, biased qkv projection."""

    def __init__(self, dim: int, num_heads: int) -> None:
        super().__init__()
        self.num_heads = num_heads
        self.qkv = nn.Linear(dim, 3 * dim)
        self.proj = nn.Linear(dim, dim)

    def project(
        self, x: Tensor, rotary: tuple[Tensor, Tensor] | None = None
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Queries, keys and values ``(batch, heads, tokens, head_dim)`` of tokens."""
        q, k, v = self.qkv(x).unflatten(-1, (3, self.num_heads, -1)).permute(2, 0, 3, 1, 4)
        return (q, k, v) if rotary is None else (rotate(q, rotary), rotate(k, rotary), v)

    def join(self, out: Tensor) -> Tensor:
        """From weighted values of all heads to tokens ``(batch, tokens, D)``."""
        return self.proj(out.transpose(1, 2).flatten(2))

    def forward(self, x: Tensor, rotary: tuple[Tensor, Tensor] | None = None) -> Tensor:
        return self.join(F.scaled_dot_product_attention(*self.project(x, rotary)))

    # Exact shortcuts: each gives what `forward` gives, where most of its operations would be
    # repeated or thrown away. They make embedding and pretraining 1.2 to 3 times as fast.

    def last(self, x: Tensor, n_read: int) -> Tensor:
        """Attention of the last `n_read` tokens only, to all tokens.

        For the last block of the encoder, of which only the summary tokens are read. With so few
        queries, the keys and values of all tokens need not be computed: a query is brought into the
        space of the tokens (q K' = (q W_k) x'; the key's bias, the same for all, drops out of the
        softmax), and the map of the values is applied to the weighted mean of the tokens.
        """
        n_seqs, _, dim = x.shape
        heads, width = self.num_heads, dim // self.num_heads
        bias = self.qkv.bias
        w_q, w_k, w_v = self.qkv.weight.unflatten(0, (3, heads, width))  # each (heads, width, dim)
        q = F.linear(x[:, -n_read:], w_q.flatten(0, 1), bias[:dim]) * width**-0.5
        # one product per head: (heads, n_seqs * n_read, width) @ (heads, width, dim)
        q = q.unflatten(-1, (heads, width)).permute(2, 0, 1, 3).flatten(1, 2) @ w_k
        q = q.unflatten(1, (n_seqs, n_read)).transpose(0, 1).flatten(1, 2)
        scores = q @ x.transpose(1, 2)  # (n_seqs, heads * n_read, tokens)
        mean = scores.softmax(dim=-1) @ x  # (n_seqs, heads * n_read, dim)
        mean = mean.unflatten(1, (heads, n_read)).transpose(0, 1).flatten(1, 2)
        out = (mean @ w_v.transpose(1, 2)).unflatten(1, (n_seqs, n_read))
        return self.proj(out.permute(1, 2, 0, 3).flatten(2) + bias[2 * dim :])

    def shared(
        self, own: Tensor, shared: Tensor, rotary: tuple[Tensor, Tensor]
    ) -> tuple[Tensor, Tensor]:
        """Attention of `own` ``(n_seqs, n_own, D)`` and then `shared` tokens ``(1, n_shared, D)``.

        For the first block of the reconstructor, whose queries do not depend on the sample yet.
        What the shared tokens say to each other is computed once for the whole batch, and joined to
        what each sequence's own tokens say to them by the sums of both softmaxes.
        """
        n_seqs, n_own, _ = own.shape
        q1, k1, v1 = self.project(own, tuple(table[:n_own] for table in rotary))
        q2, k2, v2 = self.project(shared, tuple(table[n_own:] for table in rotary))
        k2_all, v2_all = (x.expand(n_seqs, -1, -1, -1) for x in (k2, v2))
        # what a sequence's own tokens attend to: everything
        out1 = F.scaled_dot_product_attention(
            q1, torch.cat((k1, k2_all), dim=2), torch.cat((v1, v2_all), dim=2)
        )
        scale = q1.shape[-1] ** -0.5
        among = (q2 * scale) @ k2.transpose(-1, -2)  # (1, heads, n_shared, n_shared)
        to_own = (q2 * scale) @ k1.transpose(-1, -2)  # (n_seqs, heads, n_shared, n_own)
        among_sum = among.logsumexp(dim=-1, keepdim=True)
        own_sum = to_own.logsumexp(dim=-1, keepdim=True)
        weight = torch.sigmoid(own_sum - among_sum)  # share of the own tokens in the softmax
        out2 = torch.lerp(
            ((among - among_sum).exp() @ v2).expand(n_seqs, -1, -1, -1),
            (to_own - own_sum).exp() @ v1,
            weight.to(v1.dtype),
        )
        return self.join(out1), self.join(out2)

    def pairs(self, own: Tensor, other: Tensor, read_other: bool) -> tuple[Tensor | None, Tensor]:
        """Attention in many sequences of two tokens, `own` and `other`, each ``(n_seqs, D)``.

        For electrodes that are encoded one by one: one token of the electrode and one summary
        token. The softmax over two scores is a sigmoid of their difference, and both the difference
        of the keys and that of the values are one linear map of the tokens' difference, so that
        everything is a few products of tall matrices. `other` may be ``(1, D)``; with `read_other`
        only its output is computed, and the first one is None.
        """
        dim, heads = own.shape[-1], self.num_heads
        weight, bias, scale = self.qkv.weight, self.qkv.bias, (dim // heads) ** -0.5
        w_q, w_kv, w_v = weight[:dim] * scale, weight[dim:], weight[2 * dim :]
        b_q, b_v = bias[:dim] * scale, bias[2 * dim :]
        both = F.linear(other, torch.cat((w_q, w_v)), torch.cat((b_q, b_v)))
        q_other, v_other = both.chunk(2, dim=-1)
        k, v = F.linear(own - other, w_kv).chunk(2, dim=-1)

        def attend(q: Tensor) -> Tensor:
            share = torch.sigmoid((q * k).unflatten(-1, (heads, -1)).sum(dim=-1, keepdim=True))
            return self.proj(v_other + (share * v.unflatten(-1, (heads, -1))).flatten(-2))

        return None if read_other else attend(F.linear(own, w_q, b_q)), attend(q_other)


class MLP(nn.Module):
    """Two linear maps around an exact GELU, four times as wide inside."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.fc1 = nn.Linear(dim, 4 * dim)
        self.fc2 = nn.Linear(4 * dim, dim)

    def forward(self, x: Tensor) -> Tensor:
        return self.fc2(F.gelu(self.fc1(x)))


class Block(nn.Module):
    """Pre-norm transformer block."""

    def __init__(self, dim: int, num_heads: int) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(dim, eps=LAYER_NORM_EPS)
        self.attn = Attention(dim, num_heads)
        self.norm2 = nn.LayerNorm(dim, eps=LAYER_NORM_EPS)
        self.mlp = MLP(dim)

    def _add_mlp(self, x: Tensor) -> Tensor:
        return x + self.mlp(self.norm2(x))

    def forward(self, x: Tensor, rotary: tuple[Tensor, Tensor] | None = None) -> Tensor:
        return self._add_mlp(x + self.attn(self.norm1(x), rotary))

    def forward_last(self, x: Tensor, n_read: int) -> Tensor:
        """Next state of the last `n_read` tokens only, without rotary embedding."""
        return self._add_mlp(x[:, -n_read:] + self.attn.last(self.norm1(x), n_read))

    def forward_shared(self, own: Tensor, shared: Tensor, rotary: tuple[Tensor, Tensor]) -> Tensor:
        """Next state of sequences of `own` tokens and then `shared` ones, alike in all of them."""
        attended = self.attn.shared(self.norm1(own), self.norm1(shared), rotary)
        return self._add_mlp(torch.cat((own + attended[0], shared + attended[1]), dim=1))

    def forward_pairs(
        self, own: Tensor, other: Tensor, *, read_other: bool = False
    ) -> tuple[Tensor | None, Tensor]:
        """Next state of many sequences of two tokens (see `Attention.pairs`)."""
        attended = self.attn.pairs(self.norm1(own), self.norm1(other), read_other)
        own = None if read_other else self._add_mlp(own + attended[0])
        return own, self._add_mlp(other + attended[1])


def make_blocks(dim: int, num_heads: int, depth: int) -> nn.ModuleList:
    """A stack of `depth` blocks."""
    return nn.ModuleList(Block(dim, num_heads) for _ in range(depth))


def init_weights(module: nn.Module) -> None:
    """Initialise `module` in place, from torch's global generator.

    Truncated normal 0.02 for linear maps and tokens, normal 0.02 for embeddings, LayerNorm 1/0,
    biases 0; in block number l (from 1) the attention's output and the second MLP weight are
    divided by sqrt(2 l).
    """
    for part in module.modules():
        if isinstance(part, nn.Linear):
            nn.init.trunc_normal_(part.weight, std=INIT_STD)
            nn.init.zeros_(part.bias)
        elif isinstance(part, nn.Embedding):
            nn.init.normal_(part.weight, std=INIT_STD)
        elif isinstance(part, nn.LayerNorm):
            nn.init.ones_(part.weight)
            nn.init.zeros_(part.bias)
        for name, parameter in part.named_parameters(recurse=False):
            if name.endswith("_token"):
                nn.init.trunc_normal_(parameter, std=INIT_STD)
    for stack in (part for part in module.modules() if isinstance(part, nn.ModuleList)):
        for layer, block in enumerate(stack, start=1):
            block.attn.proj.weight.data.div_(math.sqrt(2 * layer))
            block.mlp.fc2.weight.data.div_(math.sqrt(2 * layer))


def to_patches(x: Tensor, patch_size: int) -> Tensor:
    """Cut ``(n_epochs, n_chans, n_times)`` into ``(n_epochs, n_patches, n_chans, patch_size)``."""
    return x.unflatten(-1, (-1, patch_size)).transpose(1, 2)


class Encoder(nn.Module):
    """Spatial encoder of DARE-EEG."""

    def __init__(self, config: DAREConfig) -> None:
        super().__init__()
        self.config = config
        dim = config.embed_dim
        self.patch_embed = nn.Linear(config.patch_size, dim)
        self.channel_embed = nn.Embedding(len(ELECTRODES), dim)
        self.summary_token = nn.Parameter(torch.zeros(1, config.embed_num, dim))
        self.blocks = make_blocks(dim, config.num_heads, config.depth[0])
        self.norm = nn.LayerNorm(dim, eps=LAYER_NORM_EPS)

    def normalize(self, x: Tensor) -> Tensor:
        """Bring microvolts ``(..., n_chans, n_times)`` to this encoder's own reference and scale.

        A ValueError if it wants an average reference (over these channels) and there is one only.
        """
        if self.config.reference == "average":
            if x.shape[-2] < 2:
                raise ValueError(
                    "This encoder reads signals against the average of their channels, which "
                    "leaves nothing of a single one: pass two channels or more, or load the "
                    "encoder with reference=None (see dare_sklearn.weights.convert)."
                )
            x = x - x.mean(dim=-2, keepdim=True)
        if self.config.center:
            x = x - x.mean(dim=-1, keepdim=True)
        return x / self.config.amplitude_uv

    def forward(
        self, x: Tensor, channels: Tensor, visible: Tensor | None = None, layer: int | None = None
    ) -> Tensor:
        """Summary tokens ``(n_epochs, n_visible_patches, embed_num, D)`` of the visible patches.

        `x` are signals ``(n_epochs, n_chans, n_times)`` on the encoder's own scale (see
        `normalize`) and sampling rate, and `channels` their rows ``(n_chans,)`` in the table of
        electrodes. `visible` ``(n_visible_patches, n_visible_chans)`` holds flat indices ``patch *
        n_chans + channel``, one patch per row; by default all. `layer` is the number of the block
        (from 0) whose output is read, before any norm; by default the last one's, normed.
        """
        patches = to_patches(x, self.config.patch_size)  # (B, N, C, P)
        position = self.channel_embed(channels)  # (C, D)
        if visible is not None:
            patches = patches.flatten(1, 2)[:, visible]  # (B, Nv, Cv, P)
            position = position[visible % channels.shape[0]]  # (Nv, Cv, D)
        tokens = self.patch_embed(patches) + position  # (B, Nv, Cv, D)
        summary = self._in_parts(self._summarize, tokens.flatten(0, 1), layer)  # (B * Nv, E, D)
        return summary.unflatten(0, tokens.shape[:2])  # (B, Nv, E, D)

    def forward_electrodes(self, x: Tensor, channels: Tensor, layer: int | None = None) -> Tensor:
        """Tokens ``(n_epochs, n_chans, n_patches, embed_num, D)`` of every electrode by itself.

        They keep where a signal was. What `forward` gives for `visible` rows of one electrode each,
        several times as fast.
        """
        position = self.channel_embed(channels)[:, None]  # (C, 1, D)
        tokens = self.patch_embed(x.unflatten(-1, (-1, self.config.patch_size))) + position
        seqs = tokens.flatten(0, 2)[:, None]  # (B * C * N, 1, D)
        pairs = self.config.embed_num == 1
        summary = self._in_parts(self._summarize_pairs if pairs else self._summarize, seqs, layer)
        return summary.unflatten(0, tokens.shape[:3])

    def filter_bank(self, x: Tensor, stride: int) -> Tensor:
        """Outputs ``(n_epochs, n_chans, n_windows, D)`` of the D filters that embed patches."""
        windows = x.unfold(-1, self.config.patch_size, stride)
        # of overlapping views, torch multiplies each channel alone, in an order of the threads
        return self.patch_embed(windows.contiguous())

    def log_power(self, x: Tensor, floor: float) -> Tensor:
        """Log-variance of every filter over overlapping patches, ``(n_epochs, n_chans, D)``."""
        bank = self.filter_bank(x, POWER_STRIDE).float()
        return bank.var(dim=2, correction=0).add(floor).log()

    def _in_parts(self, run: Callable[..., Tensor], seqs: Tensor, layer: int | None) -> Tensor:
        """What a method makes of sequences of channel tokens; on a CPU, of some at a time."""
        blocks, parts = self.blocks if layer is None else self.blocks[: layer + 1], [seqs]
        if seqs.device.type == "cpu" and not torch.compiler.is_compiling():
            n_tokens = seqs.shape[1] + self.config.embed_num
            parts = seqs.split(max(1, TOKENS_AT_ONCE // n_tokens))
        summary = torch.cat([run(part, *blocks) for part in parts])
        return self.norm(summary) if layer is None else summary

    def _summarize(self, tokens: Tensor, *blocks: Block) -> Tensor:
        """Summary tokens ``(n_seqs, E, D)`` of sequences of channel tokens ``(n_seqs, C, D)``."""
        tokens = torch.cat((tokens, self.summary_token.expand(tokens.shape[0], -1, -1)), dim=1)
        for block in blocks[:-1]:
            tokens = block(tokens)
        # only the summary tokens are read from the last block: the others are not computed there
        return blocks[-1].forward_last(tokens, self.config.embed_num)

    def _summarize_pairs(self, tokens: Tensor, *blocks: Block) -> Tensor:
        """The same for sequences of one channel token and one summary token."""
        tokens = tokens[:, 0]  # (n_seqs, D)
        summary = self.summary_token[0]  # (1, D): alike in all sequences until the first block
        for block in blocks[:-1]:
            tokens, summary = block.forward_pairs(tokens, summary)
        return blocks[-1].forward_pairs(tokens, summary, read_other=True)[1][:, None]


def principal_filters(encoder: Encoder) -> Tensor:
    """The strongest combinations of the encoder's learned filters, ``(n_filters, patch_size)``.

    Strongest for signals with the spectrum of ongoing EEG, 1/f from 0.5 to 45 Hz, and of variance 1
    for them: narrow bands, which depend on the encoder alone and not on the recordings.
    """
    config = encoder.config
    # on the CPU: other devices may lack double precision
    learned = encoder.patch_embed.weight.detach().cpu().double()
    frequencies = torch.fft.rfftfreq(128 * config.patch_size, 1 / config.sfreq).to(learned)
    inside = (frequencies >= 0.5) & (frequencies <= 45.0)
    spectrum = torch.where(inside, 1 / frequencies.clamp(min=0.5), 0.0)
    correlation = torch.fft.irfft(spectrum + 1e-3 * spectrum[inside].mean())
    lags = torch.arange(config.patch_size)
    covariance = correlation[(lags[:, None] - lags).abs()] / correlation[0]
    values, vectors = torch.linalg.eigh(learned @ covariance @ learned.T)
    kept = values.argsort(descending=True)[:N_PRINCIPAL]
    kept = kept[values[kept] > 1e-6 * values.max()]
    return ((vectors[:, kept] / values[kept].sqrt()).T @ learned).float()


def filter_windows(x: Tensor, filters: Tensor, stride: int) -> Tensor:
    """Outputs of `filters` in windows, ``(n_epochs, n_chans, n_filters, n_windows)``."""
    out = F.conv1d(x.reshape(-1, 1, x.shape[-1]), filters[:, None], stride=stride)
    return out.unflatten(0, x.shape[:2])


class Predictor(nn.Module):
    """Temporal predictor of DARE-EEG.

    Without `skip_connection` (an ablation of the paper), the combined sequence is the prediction at
    visible patches too, where the encoder's own output stands otherwise.
    """

    def __init__(self, config: DAREConfig, skip_connection: bool = True) -> None:
        super().__init__()
        dim = config.embed_dim
        self.skip_connection = skip_connection
        self.embed = nn.Linear(dim, dim)
        self.mask_token = nn.Parameter(torch.zeros(1, 1, config.embed_num, dim))
        self.rotary = RotaryEmbedding(dim // config.num_heads)
        self.blocks = make_blocks(dim, config.num_heads, config.depth[1])
        self.norm = nn.LayerNorm(dim, eps=LAYER_NORM_EPS)
        self.proj = nn.Linear(dim, dim)

    def forward(
        self, encoded: Tensor, visible_patches: Tensor, n_patches: int
    ) -> tuple[Tensor, Tensor]:
        """Prediction ``(n_epochs, n_patches, embed_num, embed_dim)``, and the combined sequence.

        `encoded` holds the encoder's tokens of the visible patches, whose numbers are
        `visible_patches`.
        """
        n_epochs, _, embed_num, _ = encoded.shape
        tokens = self.mask_token.expand(n_epochs, n_patches, -1, -1).clone()
        tokens = tokens.index_copy(1, visible_patches, self.embed(encoded).to(tokens.dtype))
        tokens = tokens.flatten(1, 2)  # (B, N * E, D), patch-major
        patch_index = torch.arange(n_patches, device=encoded.device).repeat_interleave(embed_num)
        rotary = self.rotary(patch_index)
        for block in self.blocks:
            tokens = block(tokens, rotary)
        predicted = self.proj(self.norm(tokens)).unflatten(1, (n_patches, embed_num))
        if not self.skip_connection:
            return predicted, predicted
        return predicted, predicted.index_copy(1, visible_patches, encoded.to(predicted.dtype))


class Reconstructor(nn.Module):
    """Reconstructor of DARE-EEG: one query for every target (patch, channel)."""

    def __init__(self, config: DAREConfig) -> None:
        super().__init__()
        dim = config.embed_dim
        self.embed = nn.Linear(dim, dim)
        self.mask_token = nn.Parameter(torch.zeros(1, 1, dim))
        self.channel_embed = nn.Embedding(len(ELECTRODES), dim)
        self.rotary = RotaryEmbedding(dim // config.num_heads)
        self.blocks = make_blocks(dim, config.num_heads, config.depth[2])
        self.norm = nn.LayerNorm(dim, eps=LAYER_NORM_EPS)
        self.proj = nn.Linear(dim, config.patch_size)

    def forward(self, combined: Tensor, targets: Tensor, channels: Tensor) -> Tensor:
        """Reconstructed target patches ``(n_epochs, n_targets, patch_size)``.

        From the `combined` sequence ``(n_epochs, n_patches, embed_num, embed_dim)``; `targets` are
        flat indices ``patch * n_chans + channel``, and `channels` rows of the table of electrodes.
        """
        _, n_patches, embed_num, _ = combined.shape
        n_chans = channels.shape[0]
        tokens = self.embed(combined.flatten(1, 2))  # (B, N * E, D)
        queries = self.mask_token + self.channel_embed(channels[targets % n_chans])  # (1, K, D)
        patch_index = torch.arange(n_patches, device=targets.device).repeat_interleave(embed_num)
        rotary = self.rotary(torch.cat((patch_index, targets // n_chans)))
        # queries know nothing of their sample yet, so the first block computes much of them once
        tokens = self.blocks[0].forward_shared(tokens, queries.to(tokens.dtype), rotary)
        for block in self.blocks[1:]:
            tokens = block(tokens, rotary)
        return self.proj(self.norm(tokens[:, n_patches * embed_num :]))  # (B, K, P)


class ProjectionHead(nn.Module):
    """Of mask alignment: mean over patches, maps to 512 and 256 features, unit length."""

    def __init__(self, config: DAREConfig) -> None:
        super().__init__()
        self.fc1 = nn.Linear(config.embed_num * config.embed_dim, 512)
        self.fc2 = nn.Linear(512, 256)

    def forward(self, encoded: Tensor) -> Tensor:
        """Unit vectors ``(n_epochs, 256)`` of ``(n_epochs, n_patches, embed_num, embed_dim)``."""
        pooled = encoded.mean(dim=1).flatten(1)  # (B, E * D)
        return F.normalize(self.fc2(F.relu(self.fc1(pooled))), dim=-1)
