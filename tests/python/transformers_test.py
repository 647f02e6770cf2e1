"""transformers' models with attn_implementation="regard". Skipped without transformers."""

import pytest

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")

import regard.torch  # noqa: E402

regard.torch.register()
SIZES = dict(
    vocab_size=99,
    hidden_size=64,
    intermediate_size=96,
    num_hidden_layers=3,
    num_attention_heads=8,
    num_key_value_heads=2,
    max_position_embeddings=128,
    head_dim=8,
    attn_implementation="eager",
)
MODELS = {
    "Llama": lambda: transformers.LlamaConfig(**SIZES),
    "Mistral with a window": lambda: transformers.MistralConfig(**SIZES, sliding_window=7),
    "Gemma 2": lambda: transformers.Gemma2Config(
        **SIZES, sliding_window=7, query_pre_attn_scalar=16
    ),
    "gpt-oss": lambda: transformers.GptOssConfig(
        **SIZES, num_local_experts=2, num_experts_per_tok=1, sliding_window=7
    ),
}
pytestmark = pytest.mark.filterwarnings("ignore")


def model_of(name):
    torch.manual_seed(0)
    model = transformers.AutoModelForCausalLM.from_config(
        MODELS[name](), attn_implementation="eager"
    ).eval()
    for key, parameter in model.named_parameters():
        if "sinks" in key:
            torch.nn.init.normal_(parameter)
    return model


def tokens(batch=2, length=17):
    torch.manual_seed(1)
    ids, mask = torch.randint(3, 99, (batch, length)), torch.ones(batch, length, dtype=torch.int64)
    mask[1:, :5] = 0  # padded on the left
    return {"input_ids": ids, "attention_mask": mask}


def both(model, function):
    results = []
    for name in ("eager", "regard"):
        model.set_attn_implementation(name)
        results.append(function())
    return results


@pytest.mark.parametrize("name", MODELS)
def test_logits(name):
    model, given = model_of(name), tokens()
    with torch.no_grad():
        expected, logits = both(model, lambda: model(**given).logits)
    there = given["attention_mask"].bool()
    assert (expected - logits)[there].abs().max() < 1e-4


@pytest.mark.parametrize("name", MODELS)
def test_generates(name):
    model, given = model_of(name), tokens()
    expected, texts = both(
        model, lambda: model.generate(**given, max_new_tokens=14, do_sample=False)
    )
    assert torch.equal(expected, texts) and texts.shape[1] > 17


def test_trains():
    model, given = model_of("Llama"), tokens()
    given["attention_mask"][:] = 1

    def gradients():
        model.zero_grad()
        model(**given, labels=given["input_ids"]).loss.backward()
        return [p.grad.clone() for p in model.parameters()]

    for expected, gradient in zip(*both(model, gradients)):
        torch.testing.assert_close(gradient, expected, rtol=1e-3, atol=1e-5)


def test_dropout_in_training():
    config = MODELS["Llama"]()
    config.attention_dropout = 0.5
    torch.manual_seed(0)
    model = transformers.AutoModelForCausalLM.from_config(
        config, attn_implementation="regard"
    ).train()
    given = tokens()
    one, other = (model(**given).logits for _ in range(2))
    assert not torch.equal(one, other)
    model.eval()
    assert torch.equal(model(**given).logits, model(**given).logits)


@pytest.mark.parametrize("kind", [torch.bool, torch.float32])
def test_masks_with_four_axes(kind):
    model, ids = model_of("Llama"), tokens()["input_ids"]
    allowed = torch.ones(2, 1, 17, 17, dtype=torch.bool).tril() & (torch.rand(2, 1, 17, 17) < 0.7)
    allowed |= torch.eye(17, dtype=torch.bool)
    added = torch.zeros(2, 1, 17, 17).masked_fill(~allowed, torch.finfo(torch.float32).min)
    with torch.no_grad():
        model.set_attn_implementation("eager")
        expected = model(ids, attention_mask=added).logits
        model.set_attn_implementation("regard")
        logits = model(ids, attention_mask=allowed if kind == torch.bool else added).logits
    assert (expected - logits).abs().max() < 1e-4


def test_packed_sequences():
    model = model_of("Llama")
    ids = tokens(1, 12)["input_ids"]
    positions = torch.tensor([[0, 1, 2, 3, 4, 0, 1, 2, 3, 4, 5, 6]])
    with torch.no_grad():
        expected, logits = both(
            model, lambda: model(ids, position_ids=positions, use_cache=False).logits
        )
    assert (expected - logits).abs().max() < 1e-4


def test_an_encoder():
    config = transformers.BertConfig(
        vocab_size=99,
        hidden_size=32,
        num_hidden_layers=2,
        num_attention_heads=4,
        intermediate_size=48,
    )
    model, given = transformers.BertModel(config).eval(), tokens()
    with torch.no_grad():
        expected, states = both(model, lambda: model(**given).last_hidden_state)
    there = given["attention_mask"].bool()
    assert (expected - states)[there].abs().max() < 1e-4
