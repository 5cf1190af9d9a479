"""What is changed between two trajectories while caching is enabled holds for the shallow steps as well."""

import pytest
import torch
from diffusers.models.attention_processor import IPAdapterAttnProcessor2_0
from peft import LoraConfig

from deepcache import DeepCache
from deepcache.caching.branches import find_cut
from deepcache.caching.structure import is_same, structure
from tests.caching.contexts import call, sampled
from tests.caching.reference import FEEDERS, overridden
from tests.conftest import make_unet2d_condition

TOKENS, CLIP = 4, 6  # of an image prompt, and channels of its embedding


def load_ip_adapter(unet, seed=1):
    """As pipelines load one, with random weights."""
    generator = torch.Generator().manual_seed(seed)

    def random(*shape):
        return torch.randn(*shape, generator=generator)

    channels = unet.config.cross_attention_dim
    projection = {"proj.weight": random(TOKENS * channels, CLIP), "proj.bias": random(TOKENS * channels)}
    projection |= {"norm.weight": random(channels), "norm.bias": random(channels)}
    sizes = [
        unet.get_submodule(name.rsplit(".", 1)[0]).to_k.out_features
        for name in unet.attn_processors
        if name.endswith("attn2.processor")
    ]
    weights = {
        f"{2 * i + 1}.to_{kind}_ip.weight": random(size, channels) for i, size in enumerate(sizes) for kind in "kv"
    }
    unet._load_ip_adapter_weights([{"image_proj": projection, "ip_adapter": weights}], low_cpu_mem_usage=False)


def add_lora(*targets):
    def add(unet):
        torch.manual_seed(5)
        unet.add_adapter(LoraConfig(r=2, lora_alpha=8, target_modules=list(targets), init_lora_weights=False))

    return add


def replace(name):
    """Put other weights in the place of a layer, or of each of a kind."""

    def put(unet):
        parent, _, attribute = name.rpartition(".")
        holder = unet.get_submodule(parent)
        other = make_unet2d_condition(layers_per_block=2)
        with torch.no_grad():
            for parameter in other.parameters():
                parameter.mul_(1.5)
        new = other.get_submodule(name)
        if attribute.isdigit():
            holder[int(attribute)] = new
        else:
            setattr(holder, attribute, new)

    return put


def scale_ip_adapter(unet):
    for processor in unet.attn_processors.values():
        if isinstance(processor, IPAdapterAttnProcessor2_0):
            processor.scale = [0.3]


CHANGES = {
    "IP-Adapter": load_ip_adapter,
    "LoRA on the first and last layers": add_lora("conv_in", "conv_out"),
    "LoRA on everything": add_lora("conv_in", "conv_out", "to_q", "to_v", "conv1", "linear_1", "time_emb_proj"),
    "conv_in": replace("conv_in"),
    "conv_out": replace("conv_out"),
    "time embedding": replace("time_embedding"),
    "a layer of a block that is cut": replace("up_blocks.3.resnets.2"),
    "another layer of it": replace("up_blocks.3.attentions.2"),
    "the layer that feeds": replace("up_blocks.3.attentions.1"),
    "a whole block": replace("up_blocks.3"),
    "a block below the cut": replace("up_blocks.1"),
    "a down block": replace("down_blocks.0"),
    "the middle": replace("mid_block"),
}


def conditioned(unet, x, t):
    """A call with an image prompt where the U-Net has an adapter for it."""
    image = {"image_embeds": [torch.ones(2, 1, CLIP)]}
    return call(unet, x, t, **({"added_cond_kwargs": image} if "encoder_hid_proj" in unet._modules else {}))


def reference(unet, branch):
    with overridden(unet, branch, (0, 3)):
        return sampled(unet, conditioned)


@pytest.mark.parametrize("branch", [0, 4, 11])
@pytest.mark.parametrize("change", CHANGES)
def test_changed_between_two_trajectories(change, branch):
    unet = make_unet2d_condition()
    before = reference(unet, branch)
    with DeepCache(unet, 3, branch) as cache:
        assert torch.equal(sampled(unet, conditioned), before)
        CHANGES[change](unet)
        ours = sampled(unet, conditioned)
        assert cache.full_steps == (0, 3)
    assert torch.equal(ours, reference(unet, branch))
    assert not torch.equal(ours, before)
    hooks = {name: len(module._forward_hooks) for name, module in unet.named_modules() if module._forward_hooks}
    assert not hooks, "nothing is left behind"


@pytest.mark.parametrize("branch", [0, 4])
def test_an_adapter_that_is_swapped_scaled_and_unloaded(branch):
    unet = make_unet2d_condition()
    with DeepCache(unet, 3, branch):
        for change in (
            load_ip_adapter,
            scale_ip_adapter,
            lambda unet: load_ip_adapter(unet, seed=2),
            add_lora("conv_in", "to_q"),
            lambda unet: unet.set_adapters("default", 0.5),
            lambda unet: unet.disable_adapters(),
            lambda unet: unet.unload_lora(),
        ):
            change(unet)
            assert torch.equal(sampled(unet, conditioned), reference_beside(unet, branch))


def reference_beside(unet, branch):
    """The reference, while a cache is enabled."""
    cache = DeepCache.of(unet)
    cache.disable()
    try:
        return reference(unet, branch)
    finally:
        cache.enable()


@pytest.mark.parametrize("change", ["LoRA on the first and last layers", "IP-Adapter"])
def test_changed_where_passes_are_compiled(change):
    unet = make_unet2d_condition(
        layers_per_block=1,
        block_out_channels=(8, 16),
        down_block_types=("CrossAttnDownBlock2D", "DownBlock2D"),
        up_block_types=("UpBlock2D", "CrossAttnUpBlock2D"),
    )
    with DeepCache(unet, 3, 0, compile={"backend": "eager"}):
        before = sampled(unet, conditioned)
        CHANGES[change](unet)
        ours = sampled(unet, conditioned)
    with DeepCache(unet, 3, 0):
        assert torch.allclose(ours, sampled(unet, conditioned), rtol=0, atol=1e-5)
    assert not torch.allclose(ours, before, rtol=0, atol=1e-3)


# What a CUDA graph has recorded is stale once any layer, weight or number of a layer is another.
DEEP_CHANGES = {
    "a layer within a block": replace("down_blocks.0.resnets.0.conv1"),
    "weights elsewhere": lambda unet: setattr(unet.mid_block.resnets[0].conv1.weight, "data", torch.ones(16, 16, 3, 3)),
    "a number": lambda unet: setattr(unet.up_blocks[0].resnets[0].norm1, "eps", 0.5),
    "FreeU": lambda unet: unet.enable_freeu(s1=0.6, s2=0.4, b1=1.4, b2=1.6),
    "an adapter's scale": lambda unet: unet.set_adapters("default", 0.5),
    "attention": lambda unet: unet.set_default_attn_processor(),
}


@pytest.mark.parametrize("change", DEEP_CHANGES)
def test_what_a_graph_has_recorded_is_seen_to_be_stale(change):
    unet = make_unet2d_condition()
    add_lora("to_q")(unet)
    cut = find_cut(unet, 2)
    before = structure(unet, cut, deep=True)
    call(unet, torch.zeros(2, 4, 16, 16), 1)
    assert is_same(before, structure(unet, cut, deep=True))
    DEEP_CHANGES[change](unet)
    assert not is_same(before, structure(unet, cut, deep=True))


def test_every_feeder_that_is_replaced_is_watched_anew():
    unet = make_unet2d_condition()
    for branch, name in enumerate(FEEDERS["UNet2DConditionModel"]):
        with DeepCache(unet, 3, branch):
            sampled(unet)
            replace(name)(unet)
            ours = sampled(unet)
        with overridden(unet, branch, (0, 3)):
            assert torch.equal(ours, sampled(unet)), name
