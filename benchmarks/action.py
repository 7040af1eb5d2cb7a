"""What the detectors cost on this machine, beside plain implementations of what was published.

    python benchmarks/action.py [training] [plain] [streaming] [segments] [--paper] [--steps 64] [--rounds 5]
        [--only rnn,trn]

    training    each detector's training step: floating-point operations of its products (forward and
                backward, counted), the share that it reaches of the rate of large matrix products measured
                here, and its time by the clock with the loader of training, whose batches a thread makes
                ahead of features mapped from a file, against a batch in memory
    plain       training steps against the published way of computing them, with torch's own dropout: TRN as a
                loop of its cells, OadTR and MiniROAD on windows that were copied out one by one (not timed)
    streaming   a batch of one frame at 3072 features and the papers' sizes, against computing the window anew
    segments    segment mAP of 42,400 detections and 3,358 instances at 5 thresholds, against a plain loop

All by default. Small sizes (width 64 to 256, 1280 features), `--paper` the papers' (3072 features), which
want a GPU, or windows of few steps. One thread. The works of a line run in turns; figures are medians over
the rounds of seconds of the processor (of the clock on a GPU and for the loader), ratios the medians of each
round's ratio with their range.
"""

import argparse
import itertools
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.nn import functional

from prolepsis import plugins
from prolepsis.action.detectors.attention import split_heads
from prolepsis.action.detectors.base import Detector, WindowBatch
from prolepsis.action.detectors.idn import IDN
from prolepsis.action.detectors.miniroad import MiniROAD
from prolepsis.action.detectors.oadtr import OadTR
from prolepsis.action.detectors.testra import TeSTra
from prolepsis.action.detectors.trn import TRN
from prolepsis.action.evaluation.segments import (
    THUMOS_TIOU_THRESHOLDS,
    Segments,
    evaluate_segments,
    temporal_iou,
)
from prolepsis.action.losses import anticipation_targets, soft_cross_entropy
from prolepsis.action.sampling import SamplingConfig
from prolepsis.action.windows import LabelledVideo, WindowSampler
from prolepsis.training.ahead import made_ahead
from prolepsis.training.arithmetic import count_products, peak_rate
from prolepsis.training.device import autocast, resolve_device

SMALL: dict[str, dict[str, Any]] = {
    "frame_only": {},
    "rnn": {"cell": "gru", "hidden_size": 256, "projection_size": 256},
    "trn": {"hidden_size": 128, "feature_size": 128},
    "idn": {"embedding_size": 128, "hidden_size": 128},
    "oadtr": {"window_steps": 32, "hidden_size": 64, "encoder_layers": 2, "decoder_layers": 2},
    "miniroad": {"embedding_size": 256, "hidden_size": 128, "window_steps": 64},
    "testra": {
        **{"work_steps": 32, "memory_steps": 128, "hidden_size": 64, "num_heads": 4},
        "feed_forward_size": 64,
    },
}
CONTINUAL = {"continual": True, "encoder_layers": 1}
STREAMED: dict[str, tuple[str, dict[str, Any]]] = {
    **{name: (name, {}) for name in SMALL},
    "oadtr, continual, 1 block": ("oadtr", CONTINUAL),
    "oadtr, continual, 2 blocks": ("oadtr", CONTINUAL | {"encoder_layers": 2}),
}
PARTS = ("training", "plain", "streaming", "segments")
PRECISIONS = {"fp32": torch.float32, "bf16": torch.bfloat16}
NUM_CLASSES, STEPS, ROWS = 22, 64, 16
LOADED_VIDEOS, LOADER_SECONDS = 32, 1.0
STREAM_FEATURES = 3072
NUM_VIDEOS, NUM_ACTIONS = 213, 20
NUM_DETECTIONS, NUM_INSTANCES = 42_400, 3_358

Work = Callable[[], object]
Clock = Callable[[], float]
Drop = Callable[[Tensor], Tensor]


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("parts", nargs="*", help="all by default")
    parser.add_argument("--paper", action="store_true", help="the papers' sizes")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--steps", type=int, default=STEPS, help="of a window, of `training`")
    parser.add_argument("--precision", choices=PRECISIONS, default="fp32", help="of `training`")
    parser.add_argument("--only", default=",".join(SMALL), help="detectors, between commas")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    device = resolve_device()
    print(f"{device}, one thread, torch {torch.__version__}, {arguments.rounds} rounds", flush=True)
    for part in arguments.parts or PARTS:
        print()
        if part == "training":
            dtype = PRECISIONS[arguments.precision]
            measure_training(
                arguments.only.split(","),
                device,
                arguments.rounds,
                dtype,
                paper=arguments.paper,
                steps=arguments.steps,
            )
        elif part == "plain":
            measure_plain(arguments.only.split(","), device, arguments.rounds, paper=arguments.paper)
        elif part == "streaming":
            measure_streaming(arguments.only.split(","), device, arguments.rounds)
        else:
            measure_segments(arguments.rounds)


def measure_training(
    names: list[str], device: torch.device, rounds: int, dtype: torch.dtype, *, paper: bool, steps: int
) -> None:
    peak = peak_rate(device, dtype)
    print(
        f"large matrix products: {peak / 1e9:,.0f} GFLOP/s in {dtype}; "
        f"{ROWS} windows of {steps} steps a batch, TeSTra's of its work memory"
    )
    print("| | parameters | GFLOP a step | seconds | share of the rate | real loader against memory |")
    print("|---|---|---|---|---|---|")
    for name in names:
        detector = build(name, {} if paper else SMALL[name], 3072 if paper else 1280, device)
        sampler = make_sampler(detector, LOADED_VIDEOS, rows=8 * LOADED_VIDEOS, steps=steps)
        kept = next(epochs(sampler))
        step = training_step(detector, device, dtype)
        # Of oneDNN's recurrent layers the counter would see nothing.
        with torch.backends.mkldnn.flags(enabled=False):
            work = count_products(lambda step=step, kept=kept: step(kept))
        kept_step = partial(step, kept)
        median = statistics.median(in_turns({"": kept_step}, now(device), rounds)[""])
        with closing(made_ahead(epochs(sampler), "windows")) as loaded:
            seconds = in_turns(
                {"memory": kept_step, "loader": lambda step=step, loaded=loaded: step(next(loaded))},
                time.perf_counter if device.type == "cpu" else now(device),
                rounds,
                LOADER_SECONDS,
            )
        print(
            f"| `{name}` | {count(detector):,} | {work / 1e9:.2f} | {median:.3f} "
            f"| {work / median / peak:.0%} | {ratio(seconds['loader'], seconds['memory'])} |",
            flush=True,
        )


def measure_plain(names: list[str], device: torch.device, rounds: int, *, paper: bool) -> None:
    """Each pair on the same batch, forward and backward."""
    print("| step | published way, seconds | here, seconds | ratio | |")
    print("|---|---|---|---|---|")
    features = 3072 if paper else 1280
    if "trn" in names:
        for hidden in (4096,) if paper else (64, 128, 256):
            compare_trn(hidden, features, device, rounds)
    if "oadtr" in names:
        compare_oadtr({} if paper else {"hidden_size": 64}, features, device, rounds)
    if "miniroad" in names:
        sizes = {} if paper else {"embedding_size": 256, "hidden_size": 128}
        compare_miniroad(sizes, features, device, rounds)


def compare_trn(hidden: int, features: int, device: torch.device, rounds: int) -> None:
    # Weights large enough that the losses would tell a difference.
    sizes = {"hidden_size": hidden, "feature_size": min(hidden, features), "linear_std": 0.03}
    model = build("trn", sizes, features, device)
    assert isinstance(model, TRN)
    batch = next(make_sampler(model).batches(0, 1)).to(device)
    seconds = in_turns(
        {
            "plain": lambda: plain_trn(model, batch).backward(),
            "here": partial(learn, model, batch, device),
        },
        now(device),
        rounds,
    )
    print_ratio(
        f"TRN, hidden size {hidden}", seconds, "a loop of torch's cells", difference(model, batch, plain_trn)
    )


def compare_oadtr(sizes: Mapping[str, Any], features: int, device: torch.device, rounds: int) -> None:
    model = build("oadtr", sizes, features, device)
    assert isinstance(model, OadTR)
    sampler = make_sampler(model, videos=2, share=1.0, rows=2)
    [windows] = sampler.draw(0, 1)
    batch = sampler.collate(windows, np.random.default_rng(0))
    samples = int(batch.scored.sum())
    ours = batch.features.numel() * 4 / samples
    theirs = model.config.window_steps * features * 4
    single = materialised(batch, model.context)
    seconds = in_turns(
        {
            "plain": lambda: plain_oadtr(model, single, device).backward(),
            "here": partial(learn, model, batch, device),
        },
        now(device),
        rounds,
    )
    note = f"{samples} windows; bytes a sample {theirs:,.0f} and {ours:,.0f}, {theirs / ours:.0f} x fewer"

    def plain(net: Any, one: WindowBatch) -> Tensor:
        return plain_oadtr(net, materialised(one, net.context), device)

    print_ratio("OadTR", seconds, note, difference(model, batch, plain))


def compare_miniroad(sizes: Mapping[str, Any], features: int, device: torch.device, rounds: int) -> None:
    """Windows of 128 steps, of which each fourth step is the last of one."""
    model = build("miniroad", sizes, features, device)
    chunked = build("miniroad", {**sizes, "training_passes": "chunks"}, features, device)
    assert isinstance(model, MiniROAD)
    assert isinstance(chunked, MiniROAD)
    batch = next(make_sampler(model, videos=2, share=0.25, rows=2).batches(0, 1))
    long = next(make_sampler(chunked, videos=2, share=1.0, rows=2, steps=512).batches(0, 1))
    single = materialised(batch, model.context)
    seconds = in_turns(
        {
            "plain": lambda: plain_miniroad(model, single, device).backward(),
            "here": partial(learn, model, batch, device),
            "chunks": partial(learn, chunked, long, device),
        },
        now(device),
        rounds,
    )

    def plain(net: Any, one: WindowBatch) -> Tensor:
        return plain_miniroad(net, materialised(one, net.context), device)

    learnt, learnt_long = int(batch.scored.sum()), int(long.scored.sum())
    print_ratio("MiniROAD", seconds, f"{learnt} windows of 128 steps", difference(model, batch, plain))
    per_step = {
        "plain": [one / learnt for one in seconds["plain"]],
        "here": [one / learnt_long for one in seconds["chunks"]],
    }
    print_ratio("MiniROAD in chunks, a learnt step", per_step, f"{learnt_long} steps learnt at once", None)


def learn(model: Any, batch: WindowBatch, device: torch.device) -> None:
    model.loss(batch.to(device))[0].backward()


def print_ratio(name: str, seconds: Mapping[str, list[float]], note: str, apart: float | None) -> None:
    plain, here = (statistics.median(seconds[way]) for way in ("plain", "here"))
    same = "" if apart is None else f"; losses {apart:.0e} apart"
    print(
        f"| {name} | {plain:.4g} | {here:.4g} | {ratio(seconds['plain'], seconds['here'])} | {note}{same} |",
        flush=True,
    )


def difference(model: Any, batch: WindowBatch, plain: Callable[[Any, WindowBatch], Tensor]) -> float:
    """How far the two losses of a batch are apart, without dropout."""
    model.eval()
    apart = model.loss(batch.to(next(model.parameters()).device))[0] - plain(model, batch)
    model.train()
    return abs(float(apart.detach()))


def plain_trn(model: TRN, batch: WindowBatch) -> Tensor:
    """As published: 64 encoder cells, each followed by a loop of decoder cells."""
    rows, steps = batch.mask.shape
    drop = partial(functional.dropout, p=model.config.dropout, training=model.training)
    zeros = batch.features.new_zeros
    hidden = cell = zeros(rows, model.config.hidden_size)
    future = zeros(rows, model.feature_size)
    scores, decoded = [], []
    for feature in batch.features.unbind(1):
        inputs = torch.cat([functional.relu(model.feature_layer(feature)), future], dim=1)
        hidden, cell = model.encoder(drop(inputs), (hidden, cell))
        scores.append(model.classifier(drop(hidden)))
        ahead = functional.relu(model.hidden_to_decoder(hidden)), functional.relu(model.cell_to_decoder(cell))
        entering, future, imagined = torch.zeros_like(hidden), torch.zeros_like(future), []
        for _ in range(model.config.decoder_steps):
            ahead = model.decoder(drop(entering), ahead)
            imagined.append(model.classifier(drop(ahead[0])))
            entering = functional.relu(model.scores_to_decoder(imagined[-1]))
            future = future + functional.relu(model.decoder_to_future(ahead[0]))
        future = future / model.config.decoder_steps
        decoded.append(torch.stack(imagined, 1))
    labels, valid = anticipation_targets(
        batch.labels, batch.valid, steps, model.first_target, model.config.decoder_steps
    )
    detection = soft_cross_entropy(
        torch.stack(scores, 1), batch.labels[:, :steps], batch.scored & batch.valid[:, :steps]
    )
    anticipation = soft_cross_entropy(torch.stack(decoded, 1), labels, valid & batch.scored.unsqueeze(-1))
    return detection + model.config.decoder_weight * anticipation


def materialised(batch: WindowBatch, context: int) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """What a loader of single windows gives: features `[N, W, D]`, labels of the last step, and after it."""
    videos, ends = batch.scored.nonzero(as_tuple=True)
    pairs = list(zip(videos.tolist(), ends.tolist(), strict=True))
    horizon = batch.labels.shape[1] - batch.mask.shape[1]
    features = torch.stack([batch.features[video, end - context : end + 1] for video, end in pairs])
    later = torch.stack([batch.labels[video, end + 1 : end + 1 + horizon] for video, end in pairs])
    valid = torch.stack([batch.valid[video, end + 1 : end + 1 + horizon] for video, end in pairs])
    return features, batch.labels[videos, ends], later, valid


def plain_oadtr(model: OadTR, windows: tuple[Tensor, Tensor, Tensor, Tensor], device: torch.device) -> Tensor:
    """As published: every window projects all of its features, attention writes out its weights."""
    features, now, later, valid = (part.to(device) for part in windows)
    drop = partial(functional.dropout, p=model.config.dropout, training=model.training)
    tokens = model.projection(features)
    token = model.task_token.expand(len(tokens), 1, -1)
    tokens = drop(torch.cat([tokens, token], dim=1) + model.positions)
    *blocks, norm = model.encoder
    for block in blocks:
        queries, keys, values = block.queries_keys_values(block.attention_norm(tokens)).chunk(3, -1)
        attended = plain_attention(queries, keys, values, model.config.encoder_heads, drop)
        tokens = tokens + drop(drop(block.attention_output(attended)))
        tokens = tokens + plain_feed_forward(block.feed_forward, block.feed_forward_norm(tokens), drop)
    tokens = norm(tokens)
    decoded = model.queries.expand(len(tokens), -1, -1)
    for layer in model.decoder:
        first, second, third = layer.norms
        ours, across = layer.self_attention, layer.cross_attention
        decoded = first(decoded + drop(plain_layer(ours, decoded, decoded, drop)))
        decoded = second(decoded + drop(plain_layer(across, decoded, tokens, drop)))
        decoded = third(decoded + plain_feed_forward(layer.feed_forward, decoded, drop))
    decoded = drop(model.decoder_norm(decoded))
    scores = model.classifier(torch.cat([tokens[:, -1], decoded.mean(dim=1)], dim=-1))
    detection = soft_cross_entropy(scores, now, torch.ones_like(now[:, 0], dtype=torch.bool))
    ahead = soft_cross_entropy(model.decoder_classifier(decoded), later, valid)
    return detection + model.config.decoder_weight * ahead


def plain_layer(layer: Any, targets: Tensor, sources: Tensor, drop: Drop) -> Tensor:
    queries, keys, values = layer.queries(targets), layer.keys(sources), layer.values(sources)
    output: Tensor = layer.output(
        plain_attention(queries, keys, values, layer.heads, drop, causal=layer.causal)
    )
    return output


def plain_attention(
    queries: Tensor, keys: Tensor, values: Tensor, heads: int, drop: Drop, *, causal: bool = False
) -> Tensor:
    query, key, value = (split_heads(part, heads) for part in (queries, keys, values))
    weights = query @ key.transpose(-2, -1) * query.shape[-1] ** -0.5
    if causal:
        later = torch.ones(weights.shape[-2:], dtype=torch.bool, device=weights.device).triu(1)
        weights = weights.masked_fill(later, -torch.inf)
    return (drop(weights.softmax(-1)) @ value).transpose(1, 2).flatten(2)


def plain_feed_forward(layers: Any, tokens: Tensor, drop: Drop) -> Tensor:
    widen, _, _, narrow, _ = layers
    return drop(narrow(drop(functional.gelu(widen(tokens)))))


def plain_miniroad(
    model: MiniROAD, windows: tuple[Tensor, Tensor, Tensor, Tensor], device: torch.device
) -> Tensor:
    """As published: embedding and GRU over each window, of which the last state is learnt from."""
    features, now = windows[0].to(device), windows[1].to(device)
    linear, norm, *_ = model.embedding
    embedded = functional.relu(norm(linear(features)))
    hidden, _ = model.cell(functional.dropout(embedded, model.config.dropout, model.training))
    scores = model.classifier(functional.relu(hidden[:, -1]))
    return soft_cross_entropy(scores, now, torch.ones_like(now[:, 0], dtype=torch.bool))


@torch.no_grad()
def measure_streaming(names: list[str], device: torch.device, rounds: int) -> None:
    print(f"batch of one, {STREAM_FEATURES} features, the papers' sizes")
    print("| | parameters | MMAC a step | state, kB | steps/s | window anew, steps/s | ratio |")
    print("|---|---|---|---|---|---|---|")
    for label, (name, config) in STREAMED.items():
        if name not in names:
            continue
        detector = unlearnt(name, config, device)
        feature = torch.randn(1, STREAM_FEATURES, device=device)
        state = detector.step(feature, detector.initial_state(1)).state
        size = sum(part.numel() * part.element_size() for part in state.values()) / 1e3
        with torch.backends.mkldnn.flags(enabled=False):
            products = (
                count_products(lambda one=detector, state=state, feature=feature: one.step(feature, state))
                / 2
            )
        anew = window_anew(detector, device)
        seconds = in_turns(
            {
                "step": lambda one=detector, state=state, feature=feature: one.step(feature, state),
                "anew": anew,
            },
            now(device),
            rounds,
            least=0.2,
        )
        step, again = (statistics.median(seconds[way]) for way in ("step", "anew"))
        print(
            f"| {label} | {count(detector):,} | {products / 1e6:,.2f} | {size:,.1f} "
            f"| {1 / step:,.1f} | {1 / again:,.2f} | {ratio(seconds['anew'], seconds['step'])} |",
            flush=True,
        )


def unlearnt(name: str, config: Mapping[str, Any], device: torch.device) -> Detector:
    """A detector of small random values: large orthogonal matrices would take minutes to draw."""
    with torch.device("meta"):
        detector: Detector = build(name, config, STREAM_FEATURES, torch.device("meta"))
    detector = detector.to_empty(device=device).eval().requires_grad_(False)
    for values in (*detector.parameters(), *detector.buffers()):
        values.normal_(0.0, 0.01)
    return detector


def window_anew(detector: Detector, device: torch.device) -> Work:
    """Scoring the last step of a window by the whole of it; as many steps as the detector learns from."""
    if isinstance(detector, OadTR) and detector.continual is None:
        window = torch.randn(1, detector.config.window_steps, STREAM_FEATURES, device=device)
        return lambda: detector._classify(detector.projection(window))
    if isinstance(detector, OadTR) and detector.continual is not None:
        network, steps = detector.continual, detector.config.window_steps
        window = torch.randn(1, steps, STREAM_FEATURES, device=device)
        exists, first = (
            torch.ones(1, steps, dtype=torch.bool, device=device),
            torch.zeros(1, dtype=torch.int64),
        )
        return lambda: network.scores(window, exists, first, first + steps - 1)
    if isinstance(detector, IDN):
        window = torch.randn(1, detector.config.window_steps, STREAM_FEATURES, device=device)

        def score() -> Tensor:
            steps, current = detector._gates(detector._embed(window))
            return detector._classify(steps, current[:, -1])

        return score
    if isinstance(detector, TeSTra):
        config = detector.config
        memory = torch.randn(1, config.memory_steps, STREAM_FEATURES, device=device)
        work = torch.randn(1, config.work_steps, STREAM_FEATURES, device=device)
        there = torch.ones(1, config.memory_steps, dtype=torch.bool, device=device)

        def decode() -> Tensor:
            read = detector.memory_layer(detector.long_projection(memory), there)
            return detector._decode(detector.work_projection(work), there[:, : config.work_steps], read)

        return decode
    steps = {"FrameOnly": 1, "MiniROAD": 128}.get(type(detector).__name__, STEPS)
    window = torch.randn(1, steps, STREAM_FEATURES, device=device)
    mask = torch.ones(1, steps, dtype=torch.bool, device=device)
    return lambda: detector(window, mask)


def measure_segments(rounds: int) -> None:
    truth, detections = random_segments(NUM_INSTANCES, 1), random_segments(NUM_DETECTIONS, 2)
    seconds = in_turns({"here": lambda: evaluate_segments(truth, detections)}, time.process_time, rounds)
    started = time.process_time()
    plain = plain_segment_map(truth, detections)
    loop = time.process_time() - started
    found = evaluate_segments(truth, detections).mean_average_precision
    here = statistics.median(seconds["here"])
    print(
        f"{NUM_DETECTIONS:,} detections, {NUM_INSTANCES:,} instances,"
        f" {len(THUMOS_TIOU_THRESHOLDS)} thresholds:"
    )
    print(
        f"{here:.3f} s, a loop over detections {loop:.1f} s, {loop / here:.0f} x; mAP {found.mean():.4f}, "
        f"at most {np.abs(found - plain).max():.0e} apart"
    )


def random_segments(number: int, seed: int) -> Segments:
    random = np.random.default_rng(seed)
    starts = random.uniform(0, 200, number)
    return Segments(
        random.integers(NUM_VIDEOS, size=number),
        starts,
        starts + random.uniform(1, 20, number),
        random.integers(NUM_ACTIONS, size=number),
        random.random(number),
    )


def plain_segment_map(truth: Segments, detections: Segments) -> npt.NDArray[np.float64]:
    """Segment mAP as it is defined: detection after detection, threshold after threshold."""
    order = np.argsort(-detections.scores, kind="stable")
    means = []
    for threshold in THUMOS_TIOU_THRESHOLDS:
        precisions = []
        for label in range(NUM_ACTIONS):
            instances = np.flatnonzero(truth.labels == label)
            taken: set[int] = set()
            true = []
            for place in order[detections.labels[order] == label]:
                free = [
                    i
                    for i in instances[truth.videos[instances] == detections.videos[place]]
                    if i not in taken
                ]
                overlaps = temporal_iou(
                    detections.starts[place], detections.ends[place], truth.starts[free], truth.ends[free]
                )
                hit = len(free) > 0 and overlaps.max() >= threshold
                true.append(hit)
                if hit:
                    taken.add(free[int(overlaps.argmax())])
            precision = np.cumsum(true) / np.arange(1, len(true) + 1)
            envelope = np.maximum.accumulate(precision[::-1])[::-1]
            precisions.append(envelope[np.array(true, dtype=bool)].sum() / len(instances))
        means.append(np.mean(precisions))
    return np.array(means)


def build(name: str, config: Mapping[str, Any], features: int, device: torch.device) -> Any:
    torch.manual_seed(0)
    plugin = plugins.load("prolepsis.action_detectors", name)
    return plugin(plugin.Config(**config), input_size=features, num_classes=NUM_CLASSES).to(device).train()


def make_sampler(
    detector: Detector, videos: int = 4, share: float | None = None, rows: int = ROWS, steps: int = STEPS
) -> WindowSampler:
    """`rows` windows of `steps`; where each learnt step has a window of its own, one in 16 is learnt."""
    random = np.random.default_rng(0)
    length = detector.context + (rows // videos + 1) * steps
    windows = isinstance(detector, IDN | OadTR | MiniROAD)
    work = min(steps, detector.config.work_steps) if isinstance(detector, TeSTra) else steps
    sampling = SamplingConfig(window_steps=work, scored_fraction=share or (1 / 16 if windows else 1.0))
    data = [
        LabelledVideo(
            str(number),
            mapped(random.normal(size=(length, detector.input_size)).astype(np.float16)),
            np.eye(NUM_CLASSES, dtype=np.uint8)[random.integers(NUM_CLASSES, size=length)],
            np.zeros(length, bool),
        )
        for number in range(videos)
    ]
    return WindowSampler(data, sampling, context=detector.context, horizon=detector.horizon, seed=0)


def epochs(sampler: WindowSampler) -> Iterator[WindowBatch]:
    """Batches without end, all of `ROWS` windows, so that one costs what another does."""
    for epoch in itertools.count():
        (windows,) = sampler.draw(epoch, 1)
        for number in range(len(windows) // ROWS):
            random = np.random.default_rng([epoch, number])
            yield sampler.collate(windows[number * ROWS :][:ROWS], random)


def mapped(features: npt.NDArray[np.float16]) -> npt.NDArray[np.float16]:
    """The same features as a feature store gives them: a read-only view of a file."""
    with tempfile.NamedTemporaryFile(suffix=".npy") as file:
        np.save(file, features)
        file.flush()
        view: npt.NDArray[np.float16] = np.load(file.name, mmap_mode="r")
        return view


def training_step(
    detector: Detector, device: torch.device, dtype: torch.dtype
) -> Callable[[WindowBatch], None]:
    optimizer = torch.optim.Adam(detector.parameters(), 1e-4)

    def step(batch: WindowBatch) -> None:
        optimizer.zero_grad()
        with autocast(device, dtype):
            loss, _ = detector.loss(batch.to(device))
        loss.backward()
        optimizer.step()

    return step


def in_turns(
    works: Mapping[str, Work], clock: Clock, rounds: int, least: float = 0.0
) -> dict[str, list[float]]:
    """Seconds of each work in each round, after one run to warm up; repeated for at least `least` seconds."""
    seconds: dict[str, list[float]] = {name: [] for name in works}
    for work in works.values():
        work()
    for _ in range(rounds):
        for name, work in works.items():
            started, times = clock(), 0
            while times == 0 or clock() - started < least:
                work()
                times += 1
            seconds[name].append((clock() - started) / times)
    return seconds


def now(device: torch.device) -> Clock:
    """Tells seconds of work on a device: of the processor, or of the clock once a GPU is done."""

    def of_gpu() -> float:
        torch.cuda.synchronize(device)
        return time.perf_counter()

    return time.process_time if device.type == "cpu" else of_gpu


def ratio(dividends: list[float], divisors: list[float]) -> str:
    """Of each round: the median, and the range."""
    each = [one / other for one, other in zip(dividends, divisors, strict=True)]
    return f"{statistics.median(each):.2f} ({min(each):.2f} to {max(each):.2f})"


def count(detector: Detector) -> int:
    return sum(parameter.numel() for parameter in detector.parameters())


if __name__ == "__main__":
    main()
