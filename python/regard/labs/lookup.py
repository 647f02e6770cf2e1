"""A dictionary, and the same asked softly."""

import numpy as np

import regard
from regard.labs._lab import Context, Lab

LAB = Lab(
    name="lookup", items=("S1.3", "S2.14", "S3.3", "S4.5"), kind="arithmetic",
    title="A dictionary that need not match exactly",
    question="A dictionary answers with the value of the one key that is equal to the question. "
             "Attention answers with a mixture, by how similar each key is. When do they agree, and "
             "what does the soft one do between two keys?",
    formula="answer(q) = Σ_j softmax_j(q·k_j / τ) v_j        →  v[argmax_j q·k_j]  for τ → 0",
    says="Attention is a look-up that can be differentiated: queries are questions, keys index "
         "labels, values the items; instead of one hit each item takes part by its similarity.",
    code="""
import numpy as np, regard
keys, values = np.eye(4, dtype=np.float32)[:, None], np.array([[3], [1], [4], [1]], np.float32)[:, None]
ask = keys[2:3]                                                        # [1, heads, dim]
for temperature in (1, 0.1, 0.01):
    print(regard.attention(ask, keys, values, scale=1 / temperature).item())   # 2.475, 4.0, 4.0
""",
    more=("keys that are not orthogonal: random ones, in few dimensions, answer with their "
          "neighbours too",
          "a query between two keys, `(keys[0] + keys[1]) / 2`, at any temperature: half of each",
          "`normaliser=\"sparsemax\"`: exact already at a temperature that is not small"))

TEMPERATURES = (1.0, 0.1, 0.01)


@LAB.runs
def run(lab: Context) -> None:
    size, width = 16, 8
    errors: dict[float, list[float]] = {t: [] for t in TEMPERATURES}
    for seed in lab.seeds:
        rng = lab.rng(seed)
        # Orthonormal keys in any direction, and a dictionary with the same contents.
        keys = np.linalg.qr(rng.standard_normal((size, size)))[0][:, None]  # [keys, heads, dim]
        values = rng.standard_normal((size, 1, width))
        table = {key.tobytes(): value for key, value in zip(keys, values)}
        wanted = np.stack([table[key.tobytes()] for key in keys])
        for temperature in TEMPERATURES:
            found = regard.attention(keys, keys, values, scale=1 / temperature)
            errors[temperature].append(float(np.abs(found - wanted).max()))
    worst = [max(errors[t]) for t in TEMPERATURES]
    for temperature, error in zip(TEMPERATURES, worst):
        if temperature == 0.01:
            lab.at_most("error to the dictionary's value, orthonormal keys, τ = 0.01", error, 1e-6)
        else:
            lab.report(f"error to the dictionary's value, τ = {temperature:g}", error)
    lab.check("the error falls with τ", [float(f"{e:.2g}") for e in worst], "falling",
              worst[0] > worst[1] > worst[2])
    lab.number("temperatures", TEMPERATURES)
    lab.number("errors", worst)

    # Two keys, and queries that turn from the first to the second.
    angles = np.linspace(0, np.pi / 2, 61)
    queries = np.stack([np.cos(angles), np.sin(angles)], -1)[:, None]  # [queries, 1, 2]
    keys, values = np.eye(2)[:, None], np.array([[0.0], [1.0]])[:, None]
    axes = lab.figure(width=5)
    for temperature in TEMPERATURES:
        answers = regard.attention(queries, keys, values, scale=1 / temperature).ravel()
        axes.plot(np.degrees(angles), answers, label=f"τ = {temperature:g}", markevery=10)
        lab.number(f"answers at {temperature:g}", answers)
    hard = regard.attention(queries, keys, values, normaliser="hardmax").ravel()
    axes.plot(np.degrees(angles), hard, label="hard", drawstyle="steps-mid", markevery=10)
    lab.label(axes, "A query that turns from key 0 to key 1", x="angle of the query (degrees)",
              y="answer (value 0 is 0, value 1 is 1)")
