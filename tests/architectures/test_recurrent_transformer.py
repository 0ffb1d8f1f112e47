"""The recurrent transformer against its definition in numpy, the mixer of the same name, and GPT-2."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from recallscope.architectures.mixers.recurrent_transformer import RecurrentTransformer
from recallscope.architectures.recurrent_transformer import (
    VARIANTS,
    Recurrence,
    TransformerLayer,
    TransformerModel,
    TransformerShape,
    parameters_count,
)
from scipy.special import erf
from torch import Tensor

D, H, N, B = 12, 3, 23, 2


def layer(activation: str = "gelu", seed: int = 0) -> TransformerLayer:
    """Weights of order 1, so that every part of the layer counts."""
    torch.manual_seed(seed)
    made = TransformerLayer(D, H, activation).double()
    for name, weight in made.named_parameters():
        torch.nn.init.normal_(weight, 1.0 if "norm" in name else 0.0, 0.3 if "norm" in name else D**-0.5)
    return made


def recurrence(block: int, variant: str, alpha: float = 0.3, learned: bool = False) -> Recurrence:
    return Recurrence(layer(), block, variant, alpha, learned).double()


def inputs(tokens: int = N) -> Tensor:
    return torch.from_numpy(np.random.default_rng(5).normal(size=(B, tokens, D)))


def plain_layer(z: np.ndarray, weights: dict[str, np.ndarray], relu: bool = False) -> np.ndarray:
    """T on one window `[N, D]`, query by query and head by head."""

    def norm(u: np.ndarray, scale: np.ndarray) -> np.ndarray:
        return (u - u.mean(-1, keepdims=True)) / np.sqrt(u.var(-1, keepdims=True) + 1e-5) * scale

    read, k = norm(z, weights["norm.weight"]), D // H
    q, keys = read @ weights["query.weight"].T, read @ weights["kv.weight"][:D].T
    values, mixed = read @ weights["kv.weight"][D:].T, np.zeros_like(z)
    for t in range(len(z)):
        for head in range(H):
            own = slice(head * k, (head + 1) * k)
            score = np.exp(keys[: t + 1, own] @ q[t, own] / np.sqrt(k))
            mixed[t, own] = score @ values[: t + 1, own] / score.sum()
    u = z + mixed @ weights["out.weight"].T
    inner = norm(u, weights["ffn_norm.weight"]) @ weights["up.weight"].T
    inner = np.maximum(inner, 0) if relu else inner * (1 + erf(inner / np.sqrt(2))) / 2
    return u + inner @ weights["down.weight"].T


def defined(x: np.ndarray, weights: dict[str, np.ndarray], block: int, variant: str, alpha: float) -> np.ndarray:
    """y_1 ... y_n of one sequence, as the note writes them: one window after the other."""
    blocks = [x[at : at + block] for at in range(0, len(x), block)]
    h, before, ys = plain_layer(blocks[0], weights), np.zeros((block, D)), []
    for now in blocks[1:]:
        add = 0 * before if variant == "forget" else alpha * before
        window = plain_layer(np.concatenate([h + add, now + add[: len(now)]]), weights)
        ys.append(window[:block])
        before, h = (h if variant == "accumulate" else window[:block]), window[block:]
    return np.concatenate([*ys, plain_layer(h, weights)])


def arrays(module: torch.nn.Module) -> dict[str, np.ndarray]:
    return {name: weight.detach().numpy() for name, weight in module.named_parameters()}


@pytest.mark.parametrize("activation", ["gelu", "relu"])
def test_the_layer_is_that_of_gpt2(activation: str):
    made = layer(activation)
    expected = [plain_layer(z, arrays(made), activation == "relu") for z in inputs().numpy()]
    np.testing.assert_allclose(made(inputs()).detach().numpy(), expected, rtol=0, atol=1e-10)


@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize("block", [1, 4, 8, N, 40])
def test_blocks_at_once_and_step_by_step_equal_the_definition(variant: str, block: int):
    """23 tokens: blocks of 1, an unfinished last block of 3 or 7, one whole block, less than a block."""
    made, x = recurrence(block, variant), inputs()
    expected = [defined(one, arrays(made.layer), block, variant, 0.3) for one in x.numpy()]
    np.testing.assert_allclose(made(x).detach().numpy(), expected, rtol=0, atol=1e-10)
    np.testing.assert_allclose(stepped(made, x).detach().numpy(), expected, rtol=0, atol=1e-10)


def stepped(made: Recurrence, x: Tensor) -> Tensor:
    first, *rest = x.split(made.block, 1)
    state, outputs = made.start(first), []
    for one in rest:
        y, state = made.step(one, state)
        outputs.append(y)
    return torch.cat([*outputs, made.close(state)], 1)


@pytest.mark.parametrize("variant", VARIANTS)
def test_gradients_at_once_equal_those_step_by_step(variant: str):
    made, x = recurrence(4, variant, learned=variant != "forget"), inputs().requires_grad_()
    leaves = [x, *made.parameters()]
    pull = torch.from_numpy(np.random.default_rng(6).normal(size=(B, N, D)))
    one, other = (torch.autograd.grad((form * pull).sum(), leaves) for form in (made(x), stepped(made, x)))
    for a, b in zip(one, other, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-9, atol=1e-9)
        assert a.abs().sum() > 0


@pytest.mark.parametrize("alpha, used", [(0.3, 0.3), (1.7, 1.0), (-0.2, 0.0)])
def test_a_learned_alpha_is_kept_between_0_and_1(alpha: float, used: float):
    made, x = recurrence(4, "accumulate_outputs", learned=True), inputs()
    with torch.no_grad():
        made.alpha.fill_(alpha)  # type: ignore[union-attr, operator]
    torch.testing.assert_close(made(x), recurrence(4, "accumulate_outputs", used)(x), rtol=0, atol=1e-12)


@pytest.mark.parametrize("block", [1, 8])
def test_another_block_may_be_used_than_the_model_has(block: int):
    made, x = recurrence(5, "accumulate"), inputs()
    torch.testing.assert_close(made(x, block), recurrence(block, "accumulate")(x), rtol=0, atol=0)


@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize("start", [0, 3, 4, 13, 20, 22])
def test_outputs_from_a_token_on_are_those_of_the_whole(variant: str, start: int):
    made, x = recurrence(4, variant), inputs()
    torch.testing.assert_close(made(x, start=start), made(x)[:, start:], rtol=0, atol=1e-12)


@pytest.mark.parametrize("variant", VARIANTS)
def test_what_an_output_depends_on(variant: str):
    """Forget: earlier tokens and its own, even across the end. Accumulate: the same, but for blocks that end."""
    made, x = recurrence(4, variant), inputs()
    for t in (3, 9, 18):
        changed = x.clone()
        changed[:, t + 1 :] += 1
        moved = (made(changed) - made(x)).abs().amax((0, 2)) > 1e-9
        assert not moved[: t + 1].any() and moved[t + 1 :].all()
    shorter = (made(x[:, :20]) - made(x)[:, :20]).abs().amax((0, 2)) > 1e-9
    assert not shorter[:16].any() and shorter[16:].all() == (variant != "forget")


def mixer(made: Recurrence, accumulate: bool) -> RecurrentTransformer:
    other = RecurrentTransformer(D, H, made.block, accumulate, positions=False).double()
    names = {"ffn.up.weight": "up.weight", "ffn.down.weight": "down.weight"}
    own = dict(made.layer.named_parameters())
    with torch.no_grad():
        for name, weight in other.named_parameters():
            weight.copy_(torch.full_like(weight, 0.3) if name == "alpha" else own[names.get(name, name)])
    return other


def test_the_mixer_is_the_same_recurrence_but_for_the_end():
    """The mixer reads the last block as if another followed, so that a token's output never changes."""
    x = inputs()
    torch.testing.assert_close(mixer(recurrence(4, "forget"), False)(x), recurrence(4, "forget")(x), rtol=0, atol=1e-10)
    own, other = recurrence(4, "accumulate")(x), mixer(recurrence(4, "accumulate"), True)(x)
    torch.testing.assert_close(own[:, :20], other[:, :20], rtol=0, atol=1e-10)
    assert ((own - other)[:, 20:].abs().amax((0, 2)) > 1e-6).all()


SHAPE: dict[str, Any] = {"vocabulary": 17, "width": D, "heads": H, "context": N}


def test_the_regular_model_is_gpt2():
    transformers = pytest.importorskip("transformers")
    config = transformers.GPT2Config(
        vocab_size=17, n_positions=N, n_embd=D, n_layer=3, n_head=H, activation_function="gelu", attn_pdrop=0.0,
        embd_pdrop=0.0, resid_pdrop=0.0, attn_implementation="eager",
    )  # fmt: skip
    theirs = transformers.GPT2LMHeadModel(config).double().eval()
    torch.manual_seed(7)
    ours = TransformerModel(TransformerShape(**SHAPE, layers=3)).double()
    with torch.no_grad():
        for weight in [*ours.parameters(), *theirs.parameters()]:
            weight.normal_(0, 0.4)
        for name, weight in theirs.named_parameters():
            weight.mul_(0) if name.endswith("bias") else None
        body = theirs.transformer
        ours.embedding.weight.copy_(body.wte.weight)
        ours.position.copy_(body.wpe.weight)
        ours.norm.weight.copy_(body.ln_f.weight)
        for own, block in zip(ours.core, body.h, strict=True):  # type: ignore[arg-type]
            pairs = [(own.norm, block.ln_1), (own.ffn_norm, block.ln_2)]
            maps = [(own.out, block.attn.c_proj), (own.up, block.mlp.c_fc), (own.down, block.mlp.c_proj)]
            own.query.weight.copy_(block.attn.c_attn.weight[:, :D].T)
            own.kv.weight.copy_(block.attn.c_attn.weight[:, D:].T)
            for one, other in [*pairs, *maps]:
                one.weight.copy_(other.weight if one.weight.ndim == 1 else other.weight.T)
    ids, asked = torch.randint(17, (B, N)), torch.tensor([[9, 5], [6, 22]])
    expected = ours(ids).take_along_dim(asked[..., None], 1)
    torch.testing.assert_close(ours.at(ids, asked, 5), expected, rtol=0, atol=1e-12)
    torch.testing.assert_close(ours(ids), theirs(ids).logits, rtol=0, atol=1e-9)


@pytest.mark.parametrize("variant", VARIANTS)
def test_a_model_read_block_by_block_has_the_logits_of_the_whole(variant: str):
    torch.manual_seed(8)
    model = TransformerModel(TransformerShape(**SHAPE, block=4, variant=variant)).double()
    ids, state, logits = torch.randint(17, (B, N)), None, []
    for at in range(0, N, 4):
        before, state = model.step(ids[:, at : at + 4], at, state)
        logits += [] if before is None else [before]
    assert state is not None
    whole = model(ids)
    torch.testing.assert_close(torch.cat([*logits, model.close(state)], 1), whole, rtol=0, atol=1e-12)
    for asked, start in (([[0, 7, 22], [3, 3, 4]], 0), ([[13, 7, 22], [8, 21, 9]], 7)):
        places = torch.tensor(asked)
        expected = whole.take_along_dim(places[..., None], 1)
        torch.testing.assert_close(model.at(ids, places, start), expected, rtol=0, atol=1e-12)


def test_positions_and_a_head_of_its_own_may_be_chosen():
    torch.manual_seed(9)
    still = TransformerModel(TransformerShape(**SHAPE, block=1, positions=False, classes=10))
    assert still(torch.randint(17, (B, N))).shape == (B, N, 10)
    same = still(torch.full((1, 1), 3)), still.step(torch.full((1, 1), 3), 9, None)
    assert "position" not in dict(still.named_parameters()) and same[1][0] is None
    moved = TransformerModel(TransformerShape(**SHAPE, block=1))
    first, later = (moved.close(moved.step(torch.full((1, 1), 3), at, None)[1]) for at in (0, 9))
    assert (first - later).abs().max() > 1e-4
    assert still.close(same[1][1]).equal(still.close(still.step(torch.full((1, 1), 3), 0, None)[1]))


def test_periodic_positions_are_those_of_the_place_in_the_block():
    """A whole model with such positions is that with absolute ones, whose table repeats itself."""
    torch.manual_seed(10)
    shape = TransformerShape(**SHAPE, block=4, variant="accumulate", periodic=True)
    short, long = TransformerModel(shape), TransformerModel(replace(shape, periodic=False))
    assert parameters_count(shape) == sum(weight.numel() for weight in short.parameters())
    weights = short.state_dict()
    repeated = weights | {"position": weights["position"].repeat(-(-shape.context // 4), 1)[: shape.context]}
    long.load_state_dict(repeated)
    ids = torch.randint(17, (B, N))
    torch.testing.assert_close(short(ids), long(ids), rtol=0, atol=1e-6)
    state = short.step(ids[:, :4], 0, None)[1]
    torch.testing.assert_close(short.step(ids[:, 4:7], 4, state)[0], long(ids)[:, :4], rtol=0, atol=1e-6)


@pytest.mark.parametrize(
    "change, message",
    [
        ({"width": 0}, "width: at least 1, got 0"),
        ({"heads": 5}, "heads: must divide the width, got width 12 and heads 5"),
        ({"layers": 2, "block": 4}, "layers: 1 in a recurrent model, got 2"),
        ({"variant": "accumulate"}, "variant, learned: of recurrent models alone"),
        ({"periodic": True}, "periodic: of models with positions and a block, got positions or block missing"),
        ({"block": 0}, "block: at least 1 token, got 0"),
        ({"block": 4, "variant": "keep"}, "variant: one of forget, accumulate, accumulate_outputs, got 'keep'"),
        ({"block": 4, "variant": "accumulate", "alpha": 1.5}, r"alpha: in \[0, 1\], got 1.5"),
        ({"block": 4, "learned": True}, "learned: there is no alpha in forget"),
        ({"activation": "tanh"}, "activation: one of gelu, relu, got 'tanh'"),
        ({"classes": 0}, "classes: at least 1, got 0"),
    ],
)
def test_bad_shapes_are_refused(change: dict[str, Any], message: str):
    with pytest.raises(ValueError, match=message):
        TransformerModel(TransformerShape(**SHAPE | change))


def test_bad_inputs_are_refused():
    model = TransformerModel(TransformerShape(**SHAPE))
    for ids in (torch.zeros(1, N + 1, dtype=torch.long), torch.zeros(1, 0, dtype=torch.long)):
        with pytest.raises(ValueError, match=r"ids: 1 to 23 tokens \(context\), got"):
            model(ids)
    with pytest.raises(ValueError, match="model: a recurrent one, with a block, got block None"):
        model.step(torch.zeros(1, 1, dtype=torch.long), 0, None)
    blocks = TransformerModel(TransformerShape(**SHAPE, block=4))
    with pytest.raises(ValueError, match="ids: at most a block of 4 tokens, got 5"):
        blocks.step(torch.zeros(1, 5, dtype=torch.long), 0, None)
    _, state = blocks.step(torch.zeros(1, 3, dtype=torch.long), 0, None)
    with pytest.raises(ValueError, match="state: after whole blocks of 4 tokens, got 3 in the last"):
        blocks.step(torch.zeros(1, 1, dtype=torch.long), 3, state)
