"""Packed documents: alone, if masks say so, and not if only positions do."""

import numpy as np

import regard
from regard.labs._lab import Context, Lab

LAB = Lab(
    name="packing", items=("S2.33",), kind="arithmetic",
    title="Documents in one row, each as if alone",
    question="Short documents are laid one behind the other so that no place is padding. What keeps "
             "a document from reading its neighbour?",
    formula="allowed(i, j) = document(i) = document(j) and j ≤ i;   positions restart in each",
    says="Texts are joined with an end token and cut into blocks of full length.",
    holds="Not without a mask of documents. Restarting positions hides nothing: the neighbour's keys "
          "are still there, and are mixed in. A loss mask, in turn, decides what is learned from, "
          "not what is seen.",
    code="""
import numpy as np, regard
q, k, v = np.random.default_rng(0).standard_normal((3, 30, 2, 16), dtype=np.float32)
document = regard.array(np.repeat(np.arange(3, dtype=np.int32), 10))
packed = regard.attention(q, k, v, mask=lambda i, j: (document[i] == document[j]) & (j <= i))
alone = regard.attention(q[10:20], k[10:20], v[10:20], mask="causal")
print((packed[10:20] == alone).all())                                  # to the bit
""",
    more=("lengths that are multiples of nothing: nothing changes",
          "`segments=[0, 10, 20, 30]`: the same without a mask",
          "`regard.explain()`: tiles between documents are not even loaded"))


@LAB.runs
def run(lab: Context) -> None:
    lengths = (37, 90, 5, 64)
    bounds = np.cumsum([0, *lengths])
    total, heads, dim = int(bounds[-1]), 4, 32
    document = np.repeat(np.arange(4, dtype=np.int32), lengths)
    restarted = np.concatenate([np.arange(length) for length in lengths])
    ids = regard.array(document)
    ways = {"mask of documents": lambda i, j: (ids[i] == ids[j]) & (j <= i), "segments": "causal",
            "positions alone": "causal"}
    table = regard.RopeTable(dim)
    differ, gradient, leaks = 0, [], {name: [] for name in ways}
    stray, losses = 0, []
    for seed in lab.seeds:
        rng = lab.rng(seed)
        q, k, v, dout = (rng.standard_normal((total, heads, dim), dtype=np.float32)
                         for _ in range(4))
        for one in (q, k):
            regard.rope(one, table, restarted)
        parts = [slice(a, b) for a, b in zip(bounds, bounds[1:])]
        alone = np.concatenate([regard.attention(q[s], k[s], v[s], mask="causal") for s in parts])
        # A loss of the second halves alone: what a loss mask leaves.
        counts = (restarted >= np.repeat(lengths, lengths) // 2)[:, None, None]
        dout = dout * counts
        singles = [regard.attention_backward(q[s], k[s], v[s], alone[s], dout[s], mask="causal")
                   for s in parts]
        other_k, other_v = k.copy(), v.copy()
        other_k[parts[0]] += 1
        other_v[parts[0]] *= 2
        for name, mask in ways.items():
            options = {"segments": bounds.tolist()} if name == "segments" else {}
            out = regard.attention(q, k, v, mask=mask, **options)
            changed = regard.attention(q, other_k, other_v, mask=mask, **options)[bounds[1]:]
            leaks[name].append(float(np.linalg.norm(changed - out[bounds[1]:])
                                     / np.linalg.norm(out[bounds[1]:])))
            if name == "positions alone":
                continue
            differ += int((out != alone).sum())
            stray += int((changed != out[bounds[1]:]).sum())
            found = regard.attention_backward(q, k, v, out, dout, mask=mask, **options)
            losses.append(abs(float((out * dout).sum() - (alone * dout).sum())))
            for got, part in ((found.dq, "dq"), (found.dk, "dk"), (found.dv, "dv")):
                want = np.concatenate([getattr(single, part) for single in singles])
                gradient.append(float(np.linalg.norm(got - want) / np.linalg.norm(want)))
    lab.equal("outputs that differ from the documents alone", differ, 0)
    lab.equal("outputs of later documents that change with the first one", stray, 0)
    lab.at_most("loss of the packed row against the documents alone", max(losses), 1e-5)
    lab.at_most("gradients of q, k, v against the documents alone, relative", max(gradient), 1e-5)
    lab.at_least("only positions restarted: outputs change with the first document by,"
                 " relative",
                 min(leaks["positions alone"]), 1e-2)
    lab.effect("leak of positions alone above that of the mask", leaks["positions alone"],
               leaks["mask of documents"])
    padded = 4 * max(lengths)
    lab.report("places of four padded rows", padded)
    lab.report("of these filled", sum(lengths) / padded)
    lab.number("lengths", lengths)
    lab.number("change by the first document", leaks)

    axes = lab.figure(2)
    rng = lab.rng(lab.seed)
    q, k = (rng.standard_normal((total, 1, dim), dtype=np.float32) for _ in range(2))
    for panel, name, title in ((axes[0], "mask of documents", "With a mask of documents"),
                               (axes[1], "positions alone", "With a causal mask alone")):
        _, extras = regard.attention(q, k, k, scale=0.02, mask=ways[name], extras=["weights"])
        lab.heat(panel, np.log10(np.maximum(extras.weights[::4, 0, ::4], 1e-3)),
                 unit="log₁₀ of the weight")
        lab.label(panel, title, x="key (of every fourth token)", y="query (of every fourth token)")
