import itertools
import math

import pytest
import torch
from torch import Tensor

from networks.non_local3d import Geometry, NonLocal3D, Similarity


def literal(block: NonLocal3D, x: Tensor, similarity: str, pool: tuple[int, int, int], geometry: str) -> Tensor:
    """The block on one clip `(C, T, H, W)`, position by position, with the norm at its initial statistics."""

    def embed(name: str, vector: Tensor) -> Tensor:
        conv = block.get_submodule(name)
        return conv.weight[:, :, 0, 0, 0] @ vector + (0 if conv.bias is None else conv.bias)  # type: ignore[operator,index]

    def pooled(name: str) -> list[Tensor]:
        found = []
        for start in itertools.product(*(range(0, n - p + 1, p) for n, p in zip(x.shape[1:], pool, strict=True))):
            places = itertools.product(*(range(s, s + p) for s, p in zip(start, pool, strict=True)))
            window = [x[:, t, h, w] for t, h, w in places]
            if geometry == "pyslowfast":
                found.append(embed(name, torch.stack(window).amax(0)))
            else:
                found.append(torch.stack([embed(name, vector) for vector in window]).amax(0))
        return found

    keys, values = pooled("phi"), pooled("g")
    out = torch.empty_like(x)
    for t, h, w in itertools.product(*map(range, x.shape[1:])):
        products = [float(embed("theta", x[:, t, h, w]) @ key) for key in keys]
        if similarity == "dot_product":
            weights = [product / len(keys) for product in products]
        else:
            divisor = math.sqrt(len(keys[0])) if geometry == "pyslowfast" else 1.0
            total = sum(math.exp(product / divisor) for product in products)
            weights = [math.exp(product / divisor) / total for product in products]
        mixed = embed("out", sum((a * value for a, value in zip(weights, values, strict=True)), torch.zeros(())))
        out[:, t, h, w] = x[:, t, h, w] + block.norm.weight * mixed / math.sqrt(1 + 1e-5) + block.norm.bias
    return out


@pytest.mark.parametrize("geometry", ["pyslowfast", "mmaction2"])
@pytest.mark.parametrize(("similarity", "pool"), [("embedded_gaussian", (1, 2, 2)), ("dot_product", (2, 2, 2))])
@torch.no_grad()
def test_block_equals_its_literal_form(similarity: Similarity, pool: tuple[int, int, int], geometry: Geometry) -> None:
    block = NonLocal3D(6, similarity=similarity, pool=pool, geometry=geometry).double().eval()
    for parameter in block.parameters():
        parameter.normal_()
    x = torch.randn(2, 6, 3, 4, 5, dtype=torch.float64)
    want = torch.stack([literal(block, clip, similarity, pool, geometry) for clip in x])

    torch.testing.assert_close(block(x), want, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("training", [True, False])
def test_new_block_is_the_identity(training: bool) -> None:
    x = torch.randn(2, 8, 2, 4, 4)

    assert torch.equal(NonLocal3D(8).train(training)(x), x)


@pytest.mark.parametrize("similarity", ["embedded_gaussian", "dot_product"])
def test_every_parameter_but_the_bias_of_softmax_keys_gets_a_gradient(similarity: Similarity) -> None:
    block = NonLocal3D(8, similarity=similarity).double().eval()
    for parameter in block.parameters():
        torch.nn.init.normal_(parameter)
    out = block(torch.randn(2, 8, 2, 4, 4, dtype=torch.float64)).relu().sum()
    torch.autograd.backward(out)
    still = [name for name, p in block.named_parameters() if p.grad is None or p.grad.abs().max() < 1e-10]

    # it shifts all products of a query alike, which a softmax does not see
    assert still == (["phi.bias"] if similarity == "embedded_gaussian" else [])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"similarity": "gaussian"}, "similarity must be one of embedded_gaussian, dot_product, got 'gaussian'"),
        ({"geometry": "caffe2"}, "geometry must be one of pyslowfast, mmaction2, got 'caffe2'"),
    ],
)
def test_unknown_words_are_refused(arguments: dict[str, str], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        NonLocal3D(8, **arguments)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("shape", "message"),
    [
        ((1, 8, 2, 1, 4), r"at least \(1, 2, 2\) positions .* got \(2, 1, 4\)"),
        ((1, 4, 2, 4, 4), r"features must have shape \(B, 8, T', H', W'\), got \(1, 4, 2, 4, 4\)"),
    ],
)
def test_features_that_do_not_fit_are_refused(shape: tuple[int, ...], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        NonLocal3D(8)(torch.zeros(shape))
