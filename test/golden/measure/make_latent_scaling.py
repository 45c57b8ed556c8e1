"""Golden file for src/measure/latent-scaling-golden.test.ts: Latent Scaling as the reference's own script computes it.

Runs compute_scalers() of science-of-finetuning/sparsity-artifacts-crosscoders (commit e302f0b) whole, once in float32, its
default, and once in float64, on a BatchTopKCrossCoder of science-of-finetuning/dictionary_learning (commit 173f7fa) with
made-up weights, and reads the betas and counts that it writes. The base direction, which it has not, is its result on the
same crosscoder and rows with the two models exchanged. Beside them, every beta as numpy.linalg.lstsq finds it in float64 from
regressor and target written out row by row. Nothing of the reference is kept here; the two checkouts are arguments.

What stands in for parts of the reference, none of which computes: tools.utils.load_activation_dataset and
tools.cc_utils.load_dictionary_model (they hand over the arrays made here), tools.configs, loguru, einops,
dictionary_learning.utils, and the packages' __init__ files, which import language-model code.

Latents 0 and 1 never fire, latent 2 has no base decoder row, latent 3 no finetuned one. Seeds are tried in order until no
activation is nearer to the threshold than THRESHOLD_MARGIN and no finite beta nearer to 0 than SMALLEST_BETA, below which
float32 sums of the reference would be too coarse for a relative comparison; both are in the file.

Run: python make_latent_scaling.py CHECKOUT_OF_SPARSITY_ARTIFACTS_CROSSCODERS CHECKOUT_OF_DICTIONARY_LEARNING
"""

import base64
import importlib
import json
import math
import sys
import tempfile
import types
from pathlib import Path

import numpy
import torch

torch.set_num_threads(1)
HERE = Path(__file__).parent
D_MODEL, N_LATENTS, N_ROWS, BATCH, ACTIVE = 12, 32, 420, 64, 4
SILENT, NO_BASE, NO_FINETUNED = [0, 1], 2, 3
THRESHOLD_MARGIN, SMALLEST_BETA = 1e-4, 0.03
# Their name, ours for the finetuned direction, ours for the base direction (the models exchanged).
TARGETS = [
    ("base_activation", "betaActivationBase", "betaActivationFinetuned"),
    ("chat_activation", "betaActivationFinetuned", "betaActivationBase"),
    ("base_reconstruction", "betaReconstructionBase", "betaReconstructionFinetuned"),
    ("chat_reconstruction", "betaReconstructionFinetuned", "betaReconstructionBase"),
    ("base_error", "betaErrorBase", "betaErrorFinetuned"),
    ("chat_error", "betaErrorFinetuned", "betaErrorBase"),
]


class Silent:
    def __getattr__(self, _):
        return lambda *args, **kwargs: None


def package(name, folder):
    module = types.ModuleType(name)
    module.__path__ = [str(folder)]
    sys.modules[name] = module
    return module


def stand_in(name, **contents):
    module = types.ModuleType(name)
    vars(module).update(contents)
    sys.modules[name] = module


def load_reference(scalers, dictionaries):
    """compute_scalers.py as a module, and dictionary.py."""
    stand_in("einops")
    learning = package("dictionary_learning", Path(dictionaries) / "dictionary_learning")
    stand_in("dictionary_learning.utils", set_decoder_norm_to_unit_norm=None)
    dictionary = importlib.import_module("dictionary_learning.dictionary")
    learning.CrossCoder = dictionary.CrossCoder
    stand_in("loguru", logger=Silent())
    package("tools", Path(scalers) / "tools")
    package("tools.latent_scaler", Path(scalers) / "tools" / "latent_scaler")
    stand_in("tools.utils", load_activation_dataset=None)
    stand_in("tools.cc_utils", load_dictionary_model=None)
    stand_in("tools.configs", DATA_ROOT=Path("."))
    package("scripts", Path(scalers) / "scripts")
    return importlib.import_module("scripts.compute_scalers"), dictionary


def packed(tensor):
    """float32, little-endian, base64: exact and small."""
    return base64.b64encode(tensor.detach().to(torch.float32).contiguous().numpy().tobytes()).decode()


def numbers(values):
    """JSON has no NaN: null."""
    return [None if math.isnan(value) else value for value in map(float, values)]


def make_case(seed):
    """Rows [row, 2, d], and weights in the field's layout: encoder [2, d, latent], decoder [2, latent, d], decoder bias [2, d]."""
    generator = torch.Generator().manual_seed(seed)

    def normal(*shape):
        return torch.randn(*shape, generator=generator)

    decoder = normal(2, N_LATENTS, D_MODEL)
    shared = normal(N_LATENTS, D_MODEL)
    # Directions of the two models between the same and unrelated, of unequal length.
    decoder = (shared + torch.rand(N_LATENTS, 1, generator=generator) * decoder) / D_MODEL**0.5
    decoder = decoder * (0.4 + torch.rand(2, N_LATENTS, 1, generator=generator))
    chosen = torch.stack([4 + torch.randperm(N_LATENTS - 4, generator=generator)[:ACTIVE] for _ in range(N_ROWS)])
    strength = 1 + torch.rand(N_ROWS, ACTIVE, generator=generator)
    rows = torch.einsum("ra,lrad->rld", strength, decoder[:, chosen])
    # The models hold their concepts in unlike strength, so that betas are neither 0 nor 1.
    rows = rows * torch.tensor([0.7, 1.2]).view(1, 2, 1) + 0.2 * normal(N_ROWS, 2, D_MODEL)
    encoder = decoder.transpose(1, 2) + 0.1 * normal(2, D_MODEL, N_LATENTS)
    encoder_bias = 0.1 * normal(N_LATENTS)
    encoder_bias[SILENT] = -1000.0
    decoder[0, NO_BASE] = 0
    decoder[1, NO_FINETUNED] = 0
    return {
        "rows": rows,
        "encoder.weight": encoder.contiguous(),
        "encoder.bias": encoder_bias,
        "decoder.weight": decoder.contiguous(),
        "decoder.bias": 0.3 * normal(2, D_MODEL),
        "threshold": torch.tensor(1.0),
    }


def exchanged(case):
    return {name: value.flip(1 if name == "rows" else 0) if name in SIDED else value for name, value in case.items()}


SIDED = {"rows", "encoder.weight", "decoder.weight", "decoder.bias"}


def crosscoder(dictionary, case):
    model = dictionary.BatchTopKCrossCoder(D_MODEL, N_LATENTS, 2, k=ACTIVE, init_with_transpose=False)
    state = model.state_dict()
    state.update({name: value for name, value in case.items() if name != "rows"})
    model.load_state_dict(state)
    return model


def run_reference(script, dictionary, case, dtype):
    """{their name: betas [latent]} and the counts, as compute_scalers writes them."""
    model = crosscoder(dictionary, case)
    half = N_ROWS // 2
    script.load_activation_dataset = lambda *args, **kwargs: (case["rows"][:half], case["rows"][half:])
    script.load_dictionary_model = lambda *args, **kwargs: model
    with tempfile.TemporaryDirectory() as folder:
        script.compute_scalers(
            "golden", 0, results_dir=Path(folder), batch_size=BATCH, num_samples=N_ROWS, num_workers=0, device="cpu", dtype=dtype
        )
        written = {path.name: torch.load(path) for path in Path(folder).rglob("*.pt")}

    def found(kind, name):
        return written[f"{kind}_{name}_N{N_ROWS}_n_offset0.pt"]

    betas = {name: found("betas", name).double() for name, _, _ in TARGETS}
    return betas, found("count_active", "base_activation")


def least_squares(case, code):
    """{our name: [latent]} along the finetuned direction: numpy.linalg.lstsq of f·d against the target, all in float64."""
    rows, decoder, bias = (case[name].double().numpy() for name in ("rows", "decoder.weight", "decoder.bias"))
    reconstruction = numpy.einsum("rn,lnd->rld", code, decoder) + bias
    result = {name: [] for _, name, _ in TARGETS}
    for latent in range(N_LATENTS):
        own = numpy.einsum("r,ld->rld", code[:, latent], decoder[:, latent])
        regressor = own[:, 1].reshape(-1, 1)
        targets = {"activation": rows, "reconstruction": reconstruction, "error": rows - (reconstruction - own)}
        for theirs, ours, _ in TARGETS:
            side, kind = theirs.split("_")
            target = targets[kind][:, 0 if side == "base" else 1].reshape(-1)
            exists = bool(regressor.any())
            result[ours].append(float(numpy.linalg.lstsq(regressor, target)[0][0]) if exists else math.nan)
    return result


def mirrored(result):
    names = {finetuned: base for _, finetuned, base in TARGETS}
    return {names[name]: values for name, values in result.items()}


def attempt(script, dictionary, seed):
    case = make_case(seed)
    model = crosscoder(dictionary, case)
    code, activation, _, _, everything = model.encode(case["rows"], return_active=True, use_threshold=True)
    margin = float((everything / case["threshold"] - 1).abs().min())
    code64 = code.double().numpy()
    result = {}
    for direction, given in (("finetuned", case), ("base", exchanged(case))):
        rename = (lambda entry: entry[1]) if direction == "finetuned" else (lambda entry: entry[2])
        entry = {}
        for dtype in ("float32", "float64"):
            betas, count = run_reference(script, dictionary, given, dtype)
            entry[dtype] = {rename(target): numbers(betas[target[0]]) for target in TARGETS}
            entry["count"] = [int(value) for value in count]
        solved = least_squares(given, code64)
        entry["leastSquares"] = {n: numbers(v) for n, v in (solved if direction == "finetuned" else mirrored(solved)).items()}
        result[direction] = entry
    finite = [
        abs(value)
        for entry in result.values()
        for values in entry["float64"].values()
        for value in values
        if value is not None and abs(value) > 1e-12  # exactly 0: the target is
    ]
    print(f"seed {seed}: margin {margin:.1e}, smallest beta {min(finite):.3f}, L0 {float((code > 0).sum(1).float().mean()):.2f}")
    return case, code, result, margin, min(finite)


def main():
    script, dictionary = load_reference(*sys.argv[1:3])
    for seed in range(1000):
        case, code, result, margin, smallest = attempt(script, dictionary, seed)
        if margin > THRESHOLD_MARGIN and smallest > SMALLEST_BETA:
            break
    else:
        raise SystemExit("no seed has the margins")
    # Our layout: both weights [latent, 2·d], rows [row, 2·d], base first.
    golden = {
        "made": {
            "torch": torch.__version__,
            "numpy": numpy.__version__,
            "sparsity-artifacts-crosscoders": "e302f0bd7324db37b9604a51b4e5ea83c925442e",
            "dictionary_learning": "173f7facbe80f16c837e7b5e4dca78a50c000115",
            "seed": seed,
            "thresholdMargin": margin,
            "smallestBeta": smallest,
        },
        "dModel": D_MODEL,
        "nLatents": N_LATENTS,
        "nRows": N_ROWS,
        "threshold": float(case["threshold"]),
        "rows": packed(case["rows"]),
        "encoderWeight": packed(case["encoder.weight"].permute(2, 0, 1)),
        "encoderBias": packed(case["encoder.bias"]),
        "decoderWeight": packed(case["decoder.weight"].permute(1, 0, 2)),
        "decoderBias": packed(case["decoder.bias"]),
        "code": packed(code),
        "directions": result,
    }
    (HERE / "latent-scaling.json").write_text(json.dumps(golden, allow_nan=False) + "\n")


main()
