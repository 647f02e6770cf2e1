"""score_mod and mask_mod functions that people have published for PyTorch's FlexAttention.

From PyTorch's tests and examples and from attention-gym, by their definitions. Each is made for a
library, torch or numpy, which share these names, and for captured arrays of that library.
"""

import numpy as np

BATCH, HEADS, TOKENS, KEYS = 2, 4, 24, 24
MINUS_INF = float("-inf")


def captured(lib):
    """Arrays that the functions read, as the library has them."""
    rng = np.random.default_rng(7)
    arrays = {
        "bias": rng.standard_normal((BATCH, HEADS, TOKENS, KEYS), np.float32),
        "head_bias": rng.standard_normal((HEADS, TOKENS, KEYS), np.float32),
        "head_offset": rng.standard_normal(HEADS, np.float32),
        "relative": rng.standard_normal(2 * TOKENS, np.float32),
        "document_id": np.sort(rng.integers(0, 5, TOKENS)),
        "prefix_length": np.array([4, 10]),
        "bidirectional": np.array([6, 15]),
        "intervals": np.array([[0, 6], [3, 15], [15, 24], [0, 24]]),
        "scale": np.float32(0.75).reshape(()),
    }
    return arrays if lib is np else {k: lib.from_numpy(np.array(v)) for k, v in arrays.items()}


def score_mods(lib, a):
    where = lib.where

    def noop(score, b, h, q_idx, kv_idx):
        return score

    def causal(score, b, h, token_q, token_kv):
        return where(token_q >= token_kv, score, MINUS_INF)

    def inverse_causal(score, b, h, token_q, token_kv):
        return where(token_q <= token_kv, score, MINUS_INF)

    def rel_bias(score, b, h, token_q, token_kv):
        return score + (token_q - token_kv)

    def rel_causal(score, b, h, token_q, token_kv):
        return where(token_q >= token_kv, score + (token_q - token_kv), MINUS_INF)

    def alibi(score, b, h, token_q, token_kv):
        scale = lib.exp2(-((h + 1) * 8.0 / HEADS))
        return score + (token_kv - token_q) * scale

    def times_two(score, b, h, m, n):
        return score * 2

    def squared(score, b, h, m, n):
        return score * score

    def head_offset(score, b, h, m, n):
        return score * a["head_offset"][h]

    def trig(score, b, h, m, n):
        return lib.sin(lib.cos(score)) + lib.tan(b)

    def trig2(score, b, h, m, n):
        cos_score, sin_score = lib.cos(score), lib.sin(score)
        return cos_score * sin_score + lib.tan(b)

    def checkerboard(score, b, h, token_q, token_kv):
        score = where(abs(token_kv - token_q) % 2 == 1, score * 0.5, score)
        return where(abs(token_kv - token_q) % 2 == 0, score * 2.0, score)

    def soft_cap(score, b, h, q_idx, kv_idx):
        score = score / 30.0
        score = lib.tanh(score)
        return score * 30.0

    def tanh_soft_cap_causal(score, b, h, q_idx, kv_idx):
        return where(q_idx >= kv_idx, 5 * lib.tanh(score / 5), MINUS_INF)

    def full_bias(score, b, h, q_idx, kv_idx):
        return score + a["bias"][b, h, q_idx, kv_idx]

    def head_bias_one_index_at_a_time(score, b, h, q_idx, kv_idx):
        return score + a["head_bias"][h][q_idx][kv_idx]

    def head_bias_with_open_axes(score, b, h, q_idx, kv_idx):
        return score + a["head_bias"][..., kv_idx][h, :][q_idx]

    def relative_bias(score, b, h, q_idx, kv_idx):
        return score + a["relative"][(q_idx - kv_idx) + TOKENS]

    def relative_bias_that_wraps(score, b, h, q_idx, kv_idx):
        return score + a["relative"][q_idx - kv_idx]

    def captured_scale(score, b, h, q_idx, kv_idx):
        return score * a["scale"] + a["scale"]

    def sliding_window_score(score, b, h, q_idx, kv_idx):
        return where(abs(q_idx - kv_idx) <= 5, score, MINUS_INF)

    def bidirectional_prefix(score, b, h, q_idx, kv_idx):
        both = (kv_idx < a["bidirectional"][b]) & (q_idx < a["bidirectional"][b])
        return where((q_idx >= kv_idx) | both, score, MINUS_INF)

    def square_root_of_distance(score, b, h, q_idx, kv_idx):
        return score - lib.sqrt(abs(q_idx - kv_idx)) + lib.log(kv_idx + 1)

    def clipped(score, b, h, q_idx, kv_idx):
        return (
            lib.clip(score, -0.5, 0.5) + lib.maximum(score, score * 2) - lib.minimum(score, -score)
        )

    def sigmoid_gate(score, b, h, q_idx, kv_idx):
        return score * (1 / (1 + lib.exp(-score)))

    def integer_arithmetic(score, b, h, q_idx, kv_idx):
        bucket = lib.floor_divide(q_idx - kv_idx, 3) + lib.remainder(kv_idx - q_idx, 5)
        bits = lib.bitwise_xor(q_idx & 7, kv_idx >> 1) | (h << 2)
        return score + bucket * 0.1 + bits * 0.01

    def rounding(score, b, h, q_idx, kv_idx):
        x = score * 3
        return lib.round(x) + lib.floor(x) - lib.ceil(x) * lib.sign(x) + lib.trunc(x)

    return {name: f for name, f in locals().items() if callable(f) and name not in ("lib", "where")}


def mask_mods(lib, a):
    def causal_mask(b, h, q_idx, kv_idx):
        return q_idx >= kv_idx

    def sliding_window_causal(b, h, q_idx, kv_idx):
        causal = q_idx >= kv_idx
        windowed = q_idx - kv_idx <= 7
        return causal & windowed

    def prefix_lm(b, h, q_idx, kv_idx):
        return (kv_idx < a["prefix_length"][b]) | (q_idx >= kv_idx)

    def document_causal(b, h, q_idx, kv_idx):
        same_doc = a["document_id"][q_idx] == a["document_id"][kv_idx]
        return same_doc & (q_idx >= kv_idx)

    def logical(b, h, q_idx, kv_idx):
        either = lib.logical_or(q_idx >= kv_idx, kv_idx < 3)
        return lib.logical_and(either, lib.logical_not(kv_idx == 1))

    def dilated_sliding_window(b, h, q_idx, kv_idx):
        diff = abs(q_idx - kv_idx)
        return (diff <= 9) & ((diff % 3) == 0) & (q_idx >= kv_idx)

    def global_and_local(b, h, q_idx, kv_idx):
        return (kv_idx < 4) | (q_idx < 4) | (abs(q_idx - kv_idx) <= 6)

    def natten(b, h, q_idx, kv_idx):
        width, height, kernel = 6, 4, 3
        q_x, q_y = q_idx // width, q_idx % width
        kv_x, kv_y = kv_idx // width, kv_idx % width
        center_x = lib.clip(q_x, kernel // 2, height - 1 - kernel // 2)
        center_y = lib.clip(q_y, kernel // 2, width - 1 - kernel // 2)
        return (abs(center_x - kv_x) <= kernel // 2) & (abs(center_y - kv_y) <= kernel // 2)

    def vision_intervals(b, h, q_idx, kv_idx):
        interval = a["intervals"][kv_idx // 6]
        return (q_idx >= interval[0]) & (q_idx < interval[1])

    def one_mask_a_head(b, h, q_idx, kv_idx):
        return lib.where(h < 2, q_idx >= kv_idx, q_idx - kv_idx <= 4)

    def everything(b, h, q_idx, kv_idx):
        return b.new_ones((), dtype=lib.bool)

    masks = {name: f for name, f in locals().items() if callable(f) and name not in ("lib", "a")}
    if lib is np:
        del masks["everything"]  # tensors have new_ones(), NumPy's arrays have not
    return masks
