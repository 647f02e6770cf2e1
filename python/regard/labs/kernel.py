"""Attention as a kernel smoother."""

import numpy as np

import regard
from regard.labs._lab import Context, Lab
from regard.labs._plot import GREY

LAB = Lab(
    name="kernel", items=("S1.24",), kind="arithmetic",
    title="Attention is a kernel smoother",
    question="Nadaraya and Watson estimated a curve from samples by a mean with Gaussian weights, in "
             "1964. What separates that from attention, and what is its bandwidth?",
    formula="exp(q·k/√d) = e^(‖q‖²/2√d) · e^(‖k‖²/2√d) · e^(−‖q−k‖²/2√d)\n"
            "bandwidth h = d^(1/4); keys of one norm: the middle factor cancels",
    says="Softmax attention is a Nadaraya–Watson estimate with an exponential kernel.",
    code="""
import numpy as np, regard
x = np.linspace(0, 6, 40, dtype=np.float32)[:, None, None]             # keys: where samples lie
y = np.sin(x)                                                          # values: the samples
ask = np.array([1.5], np.float32)[:, None, None]
for h in (0.05, 0.4, 50):                                              # bandwidth
    print(regard.attention(ask, x, y, similarity="negative_distance", scale=1 / (2 * h * h)).item())
""",
    more=("more noise: the best bandwidth grows",
          "keys of different norms and `similarity=\"dot\"`: long keys get more weight, wherever the "
          "query lies", "samples with a gap: what a smoother says where it has seen nothing"))


def smoothed(ask: np.ndarray, x: np.ndarray, y: np.ndarray, h: float) -> np.ndarray:
    """Nadaraya-Watson with bandwidth h, by attention over distances."""
    return regard.attention(ask[:, None, None], x[:, None, None], y[:, None, None],
                            similarity="negative_distance", scale=1 / (2 * h * h)).ravel()


@LAB.runs
def run(lab: Context) -> None:
    with_prior, same_norm = [], []
    for seed in lab.seeds:
        rng, dim = lab.rng(seed), 16
        q, k, v = (rng.standard_normal((n, dim)) for n in (50, 80, 80))
        out = regard.attention(q[:, None], k[:, None], v[:, None])[:, 0]
        root = 2 * np.sqrt(dim)
        kernel = np.exp(-((q[:, None] - k[None]) ** 2).sum(-1) / root)  # [queries, keys]
        kernel *= np.exp((k**2).sum(-1) / root)
        with_prior.append(np.abs(out - kernel @ v / kernel.sum(1, keepdims=True)).max())
        k /= np.linalg.norm(k, axis=1, keepdims=True)
        dot = regard.attention(q[:, None], k[:, None], v[:, None])
        near = regard.attention(q[:, None], k[:, None], v[:, None], similarity="negative_distance")
        same_norm.append(np.abs(dot - near).max())
    lab.at_most("attention against Gaussian weights times the keys' prior, f64", max(with_prior),
                1e-12)
    lab.at_most("keys of one norm: dot product against distance, f64", max(same_norm), 1e-12)

    bandwidths = np.geomspace(0.01, 30, 25)
    at = np.linspace(0, 2 * np.pi, 200)
    errors, small, right, large, fits = [], [], [], [], {}
    for seed in lab.seeds:
        rng = lab.rng(seed, 1)
        x = np.sort(rng.uniform(0, 2 * np.pi, 60))
        y = np.sin(x) + 0.3 * rng.standard_normal(60)
        error = [float(np.sqrt(np.mean((smoothed(at, x, y, h) - np.sin(at)) ** 2)))
                 for h in bandwidths]
        errors.append(error)
        best = int(np.argmin(error))
        small.append(error[0])
        right.append(error[best])
        large.append(error[-1])
        if seed == lab.seed:
            lab.at_most("bandwidth 0.001: distance to the samples themselves",
                        np.abs(smoothed(x, x, y, 0.001) - y).max(), 0.05)
            lab.at_most("bandwidth 1000: distance to the mean of all samples",
                        np.abs(smoothed(at, x, y, 1000.0) - y.mean()).max(), 1e-4)
            fits = {h: smoothed(at, x, y, h) for h in (0.03, float(bandwidths[best]), 10.0)}
            samples = x, y
    lab.effect("error at bandwidth 0.01 above that at the best", small, right)
    lab.effect("error at bandwidth 30 above that at the best", large, right)
    lab.number("bandwidths", bandwidths)
    lab.number("errors", errors)

    curve, line = lab.figure(2)
    curve.plot(*samples, linestyle="", marker=".", color=GREY, label="samples")
    for h, fit in fits.items():
        curve.plot(at, fit, label=f"h = {h:.2g}", markevery=25)
    lab.label(curve, "Too sharp, right, too blunt", x="x", y="y (sin x, noise 0.3)",
              legend="lower left")
    for seed, error in zip(lab.seeds, errors):
        line.plot(bandwidths, error, label=f"seed {seed}", markevery=4)
    line.set_xscale("log")
    lab.label(line, "Error of the estimate", x="bandwidth h", y="root of mean square error")
