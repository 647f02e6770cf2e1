"""Makes tiny random checkpoints with transformers and the numbers that its eager f32 gives.

    make_checkpoints.py                                      every case of families.py, into data/
    make_checkpoints.py llama t5-2                           these families or cases
    make_checkpoints.py llama --name wide --seed 7 --out /tmp/made --dtype float32 \\
        --set hidden_size=96 --set rope_parameters='{"rope_type":"linear","factor":2}'
                                        a further case: settings over those of the family's first

Needs torch and transformers 5; nothing is fetched. A case is a folder as transformers saves it
(config.json, model.safetensors, and what sentence-transformers adds) and

expected.json
    family, seed, lengths   of the sequences of one batch of 40 tokens
    ids                     its tokens, one sequence behind the other
    decoder_ids, decoder_lengths   encoder-decoders only: what the decoder is given, as many
                            sequences, each beginning with the start token
    greedy                  decoder models and encoder-decoders: [{prompt, ids, margins}], 64 ids
                            that follow the prompt (of an encoder-decoder: the encoder's input),
                            end tokens included as any other; margins[i] is the largest logit less
                            the second largest where ids[i] was chosen
    arrays                  name -> {offset, shape} in expected.bin, which is little-endian f32:
        logits              [40, vocabulary], of the decoder for encoder-decoders; absent for BERT
        hidden              [layers + 1, 40, width]: the embedding, then behind each block, the
                            last behind the final norm where the family has one
                            (output_hidden_states of transformers)
        decoder_hidden      the same of the decoder of an encoder-decoder
        embeddings          [sequences, width], where the folder says how to pool
Every sequence went through the model alone.
"""

import argparse
import json
import math
import pathlib
import shutil
import sys

import numpy
import torch
import transformers

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
from families import FAMILIES, SEEDS  # noqa: E402

LENGTHS = [17, 1, 9, 13]
DECODER_LENGTHS = [11, 14, 1, 14]
GREEDY_TOKENS = 64
WRITES = ("o_proj", "out_proj", "c_proj", "down_proj", ".wo.", ".o.weight", ".w2.",
          "dense_4h_to_h", "self_attention.dense", "output.dense")
FINAL_NORMS = ("model.norm.weight", "transformer.ln_f.weight", "decoder.final_layer_norm.weight")
GREEDY_SEQUENCES = [0, 2]  # whose ids are prompts


def scale_of(name, parameter, config):
    """(mean, deviation) of a parameter's numbers: scores of about 1.5, so that attention is not
    flat, logits far enough apart to choose from, and a text that does not repeat one token."""
    if parameter.dim() == 1:
        if name.endswith("bias"):
            return 0.0, 0.1
        gemma = "gemma" in config.model_type
        gain, deviation = 1.0, 0.3
        if gemma and name.split(".")[-2].startswith("post_"):
            gain = 3.0
        if (gemma or config.model_type in ("t5", "bloom")) and name in FINAL_NORMS:
            gain, deviation = 0.0, 1.0  # else a tied head likes the token itself best
        return (gain - 1 if gemma else gain), deviation  # Gemma stores gain - 1
    inputs = parameter.shape[-1]
    if any(part in name for part in ("embed_tokens", "wte", "word_embeddings", "shared")):
        return 0.0, {"gemma2": 0.3, "gemma3_text": 0.3, "t5": 1.0}.get(config.model_type, 0.6)
    if any(part in name for part in ("wpe", "position_embeddings", "token_type")):
        return 0.0, 0.5
    if "relative_attention_bias" in name:
        return 0.0, 1.0
    if "gpt2" in config.model_type and "lm_head" not in name:
        inputs = parameter.shape[0]  # Conv1D
    deviation = 1.3 / math.sqrt(inputs)
    if any(part in name for part in WRITES):
        deviation *= {"t5": 1 if "EncDec" in name else 5, "bloom": 5, "mpt": 4}.get(config.model_type, 2)  # what a block adds outweighs the token itself
    if config.model_type == "t5" and name.split(".")[-2] in ("q", "k"):
        deviation *= config.d_kv ** -0.25  # scores are not divided by √dim
    if "lm_head" in name:
        deviation = 2.5 / math.sqrt(inputs)
    if "mlp.gate.weight" in name or "block_sparse_moe.gate" in name:
        deviation = 2 / math.sqrt(inputs)
    return 0.0, deviation


def randomise(model, seed):
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, parameter in sorted(model.named_parameters()):
            mean, deviation = scale_of(name, parameter, model.config)
            parameter.copy_(mean + deviation * torch.randn(parameter.shape, generator=generator))


def model_class(family, options):
    return getattr(transformers, options.get("prefix") or FAMILIES[family][0])


def save(family, settings, options, seed, folder):
    cls = model_class(family, options)
    config = cls.config_class(**settings)
    model = cls(config)
    if options.get("head"):
        model.lm_head.weight = torch.nn.Parameter(torch.zeros_like(model.lm_head.weight))
    randomise(model, seed)
    shards = {"max_shard_size": f"{options['shards']}KB"} if options.get("shards") else {}
    model.to(getattr(torch, options.get("dtype", "float32"))).save_pretrained(folder, **shards)
    if options.get("head"):  # as T5 1.1 is published
        state = {name: tensor.contiguous() for name, tensor in model.state_dict().items()
                 if not name.endswith("embed_tokens.weight")}
        from safetensors.torch import save_file
        save_file(state, folder / "model.safetensors", metadata={"format": "pt"})
        written = json.loads((folder / "config.json").read_text())
        written["tie_word_embeddings"] = False
        written.pop("scale_decoder_outputs", None)
        (folder / "config.json").write_text(json.dumps(written, indent=2) + "\n")
    if options.get("pooling"):
        save_pooling(folder, model.config.hidden_size, options)
    (folder / "generation_config.json").unlink(missing_ok=True)


def save_pooling(folder, width, options):
    kind = "sentence_transformers.models."
    modules = [("", "Transformer"), ("1_Pooling", "Pooling")]
    if options["normalise"]:
        modules.append(("2_Normalize", "Normalize"))
    (folder / "modules.json").write_text(json.dumps(
        [{"idx": i, "name": str(i), "path": path, "type": kind + name}
         for i, (path, name) in enumerate(modules)], indent=2) + "\n")
    (folder / "1_Pooling").mkdir()
    modes = {f"pooling_mode_{mode}": mode == options["pooling"]
             for mode in ("cls_token", "mean_tokens", "max_tokens", "mean_sqrt_len_tokens")}
    (folder / "1_Pooling/config.json").write_text(json.dumps(
        {"word_embedding_dimension": width} | modes, indent=2) + "\n")


def pooled(hidden, options):
    """[width] from the last hidden states [tokens, width] of one sequence."""
    vector = {"cls_token": lambda: hidden[0], "mean_tokens": lambda: hidden.mean(0),
              "max_tokens": lambda: hidden.max(0).values}[options["pooling"]]()
    return vector / vector.norm() if options["normalise"] else vector


def split(ids, lengths):
    starts = numpy.cumsum([0] + lengths)
    return [ids[a:b] for a, b in zip(starts, starts[1:])]


def greedy(model, prompt, start):
    """64 tokens without a cache. start: the decoder's first token, None for a decoder alone."""
    ids = [start] if start is not None else list(prompt)
    first, margins = len(ids), []
    for _ in range(GREEDY_TOKENS):
        given = torch.tensor([ids])
        inputs = {"input_ids": given} if start is None else {
            "input_ids": torch.tensor([prompt]), "decoder_input_ids": given}
        logits = model(**inputs, use_cache=False).logits[0, -1]
        best = logits.topk(2).values
        margins.append(round(float(best[0] - best[1]), 6))
        ids.append(int(logits.argmax()))
    return {"prompt": list(prompt), "ids": ids[first:], "margins": margins}


def run(model, sequences, targets):
    """name -> [array of each sequence, ...]"""
    found = {}
    for ids, target in zip(sequences, targets or [None] * len(sequences)):
        inputs = {"input_ids": torch.tensor([ids])}
        if target:
            inputs["decoder_input_ids"] = torch.tensor([target])
        if "use_cache" in model.forward.__code__.co_varnames:
            inputs["use_cache"] = False
        out = model(**inputs, output_hidden_states=True)
        states = {"hidden": out.encoder_hidden_states, "decoder_hidden": out.decoder_hidden_states
                  } if target else {"hidden": out.hidden_states}
        for name, layers in states.items():
            found.setdefault(name, []).append(torch.stack([layer[0] for layer in layers]))
        if "logits" in out and model.config.model_type not in ("bert", "roberta"):
            found.setdefault("logits", []).append(out.logits[0])
    return found


def expected(family, options, seed, folder):
    model = model_class(family, options).from_pretrained(
        folder, dtype=torch.float32, attn_implementation="eager").eval()
    if hasattr(model.config, "_experts_implementation"):
        model.config._experts_implementation = "eager"
    vocabulary = model.config.vocab_size
    numbers = numpy.random.default_rng(seed)
    ids = [int(i) for i in numbers.integers(3, vocabulary, sum(LENGTHS))]
    facts = {"family": family, "seed": seed, "lengths": LENGTHS, "ids": ids}
    sequences, targets, start = split(ids, LENGTHS), None, None
    if model.config.is_encoder_decoder:
        start = model.config.decoder_start_token_id
        facts["decoder_lengths"] = DECODER_LENGTHS
        targets = [[start] + [int(i) for i in numbers.integers(3, vocabulary, length - 1)]
                   for length in DECODER_LENGTHS]
        facts["decoder_ids"] = sum(targets, [])
    found = run(model, sequences, targets)
    arrays = {name: torch.cat(parts, dim=-2) for name, parts in found.items()}
    if options.get("pooling"):
        arrays["embeddings"] = torch.stack([pooled(part[-1], options) for part in found["hidden"]])
    if "logits" in arrays:
        facts["greedy"] = [greedy(model, sequences[i], start) for i in GREEDY_SEQUENCES]
    facts["arrays"], offset = {}, 0
    with open(folder / "expected.bin", "wb") as file:
        for name, array in arrays.items():
            assert torch.isfinite(array).all(), name
            facts["arrays"][name] = {"offset": offset, "shape": list(array.shape)}
            offset += file.write(array.numpy().astype("<f4").tobytes())
    text = json.dumps(facts)
    (folder / "expected.json").write_text(text.replace('"arrays"', '\n"arrays"') + "\n")
    return facts, arrays


def make(family, name, settings, options, seed, out):
    folder = out / name
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    with torch.no_grad():
        save(family, settings, options, seed, folder)
        facts, arrays = expected(family, options, seed, folder)
    size = sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())
    spread = f"logits ±{arrays['logits'].std():.2f}" if "logits" in arrays else ""
    for made in facts.get("greedy", []):
        spread += f", {len(set(made['ids']))} tokens, least margin {min(made['margins']):.4f}"
    print(f"{name}: {size / 1000:.0f} kB, hidden ±{arrays['hidden'][-1].std():.2f}, {spread}")
    return size


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("which", nargs="*", help="families or cases of families.py; none = all")
    parser.add_argument("--out", type=pathlib.Path,
                        default=pathlib.Path(__file__).resolve().parent / "data")
    parser.add_argument("--seed", type=int, help="default: SEEDS of families.py, else 1")
    parser.add_argument("--name", help="one family's further case, with --set and --dtype")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=JSON")
    parser.add_argument("--dtype", choices=["float32", "float16", "bfloat16"])
    arguments = parser.parse_args()
    torch.set_num_threads(2)
    transformers.logging.set_verbosity_error()
    transformers.logging.disable_progress_bar()
    if arguments.name:
        family, = arguments.which
        _, settings, options = FAMILIES[family][1][0]
        for item in arguments.set:
            key, _, value = item.partition("=")
            settings[key] = json.loads(value)
        if arguments.dtype:
            options = options | {"dtype": arguments.dtype}
        make(family, arguments.name, settings, options, arguments.seed or 1, arguments.out)
        return
    wanted, total = set(arguments.which), 0
    for family, (_, cases) in FAMILIES.items():
        for name, settings, options in cases:
            if not wanted or wanted & {family, name}:
                seed = SEEDS.get(name, 1) if arguments.seed is None else arguments.seed
                total += make(family, name, settings, options, seed, arguments.out)
    print(f"together: {total / 1000:.0f} kB")


if __name__ == "__main__":
    main()
