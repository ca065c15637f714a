"""Every metric against a second implementation: plain loops over frames and joints, by other algebra, to 1e-9."""

from __future__ import annotations

import math
from itertools import pairwise, product

import numpy as np
import pytest

from posemill.metrics import body, feet, image, motion, pose, reduce, uncertainty, world
from posemill.skeleton import joint_set

RNG = np.random.default_rng(3)
T, J = 230, 17
TIME = np.cumsum(RNG.uniform(0.01, 0.05, T))
TRUTH = np.cumsum(0.02 * RNG.normal(size=(T, 1, 3)), axis=0) + RNG.normal(size=(T, J, 3)) * [0.2, 0.2, 0.5] + [1, 2, 5]
PRED = 0.9 * TRUTH + 0.1 * RNG.normal(size=TRUTH.shape)
PRED[5, 3] = np.nan
TRUTH[8, 2, 1] = np.nan
VALID = RNG.random((T, J)) > 0.1
# Frames of no and of three joints, and one that is all there.
VALID[20], VALID[21], VALID[22] = False, np.arange(J) < 3, True


def counts(t: int, j: int) -> bool:
    return bool(VALID[t, j]) and all(math.isfinite(v) for v in (*PRED[t, j], *TRUTH[t, j]))


def length(v) -> float:
    return math.sqrt(math.fsum(c * c for c in v))


def horn(source: list, target: list, scale: bool = True):
    """Similarity by Horn's unit quaternion: the eigenvector of a 4x4 matrix, no singular values."""
    n = len(source)
    mx = [math.fsum(p[i] for p in source) / n for i in range(3)]
    my = [math.fsum(p[i] for p in target) / n for i in range(3)]
    s = np.zeros((3, 3))
    for p, q in zip(source, target, strict=True):
        for a, b in product(range(3), range(3)):
            s[a, b] += (p[a] - mx[a]) * (q[b] - my[b])
    (xx, xy, xz), (yx, yy, yz), (zx, zy, zz) = s
    m = [
        [xx + yy + zz, yz - zy, zx - xz, xy - yx],
        [yz - zy, xx - yy - zz, xy + yx, zx + xz],
        [zx - xz, xy + yx, yy - xx - zz, yz + zy],
        [xy - yx, zx + xz, yz + zy, zz - xx - yy],
    ]
    values, vectors = np.linalg.eigh(np.array(m))
    w, x, y, z = vectors[:, -1]
    r = np.array(
        [
            [w * w + x * x - y * y - z * z, 2 * (x * y - w * z), 2 * (x * z + w * y)],
            [2 * (y * x + w * z), w * w - x * x + y * y - z * z, 2 * (y * z - w * x)],
            [2 * (z * x - w * y), 2 * (z * y + w * x), w * w - x * x - y * y + z * z],
        ]
    )
    size = math.fsum((p[i] - mx[i]) ** 2 for p in source for i in range(3))
    factor = values[-1] / size if scale else 1.0
    return lambda p: [factor * math.fsum(r[a, b] * (p[b] - mx[b]) for b in range(3)) + my[a] for a in range(3)]


def same(found: np.ndarray, want: dict) -> None:
    """Equal where the loop gave a value, NaN elsewhere."""
    table = np.full(found.shape, np.nan)
    for at, value in want.items():
        table[at] = value
    assert np.isfinite(table).any()
    np.testing.assert_allclose(found, table, rtol=0, atol=1e-9)


def test_pose():
    plain, rooted, scaled, turned = {}, {}, {}, {}
    for t in range(T):
        joints = [j for j in range(J) if counts(t, j)]
        root_known = all(math.isfinite(v) for v in (*PRED[t, 0], *TRUTH[t, 0]))
        x, y = [[float(v) for v in p] for p in PRED[t]], [[float(v) for v in p] for p in TRUTH[t]]
        for j in joints:
            plain[t, j] = math.dist(x[j], y[j])
        if root_known and joints:
            x0 = [[a - b for a, b in zip(p, x[0], strict=True)] for p in x]
            y0 = [[a - b for a, b in zip(p, y[0], strict=True)] for p in y]
            s = sum(a * b for j in joints for a, b in zip(x0[j], y0[j], strict=True))
            s /= sum(a * a for j in joints for a in x0[j])
            for j in joints:
                rooted[t, j] = math.dist(x0[j], y0[j])
                scaled[t, j] = math.dist([s * a for a in x0[j]], y0[j])
        if len(joints) >= 4:
            move = horn([x[j] for j in joints], [y[j] for j in joints])
            for j in joints:
                turned[t, j] = math.dist(move(x[j]), y[j])
    same(pose.joint_errors(PRED, TRUTH, valid=VALID), plain)
    same(pose.joint_errors(PRED, TRUTH, valid=VALID, root=0), rooted)
    same(pose.n_joint_errors(PRED, TRUTH, valid=VALID), scaled)
    same(pose.p_joint_errors(PRED, TRUTH, valid=VALID), turned)
    assert pose.mpjpe(PRED, TRUTH, valid=VALID) == pytest.approx(math.fsum(rooted.values()) / len(rooted), abs=1e-9)
    without = [e for (_, j), e in rooted.items() if j]
    assert pose.mpjpe(PRED, TRUTH, valid=VALID, count_root=False) == pytest.approx(np.mean(without), abs=1e-9)
    assert pose.n_mpjpe(PRED, TRUTH, valid=VALID) == pytest.approx(np.mean(list(scaled.values())), abs=1e-9)
    assert pose.p_mpjpe(PRED, TRUTH, valid=VALID) == pytest.approx(np.mean(list(turned.values())), abs=1e-9)

    near = [sum(e * 1000 < mm for e in rooted.values()) / len(rooted) for mm in range(0, 151, 5)]
    errors = pose.joint_errors(PRED, TRUTH, valid=VALID, root=0)
    assert pose.pck(errors) == pytest.approx(near[-1], abs=1e-9)
    assert pose.auc(errors) == pytest.approx(sum(near) / 31, abs=1e-9)
    missed = sum(e < 0.15 for e in rooted.values()) / VALID.sum()
    assert pose.pck(errors, of=VALID) == pytest.approx(missed, abs=1e-9)


def test_motion():
    """Derivatives as those of Lagrange's polynomial through the frames."""

    def derivative(order: int, values) -> dict:
        out = {}
        for t, j in product(range(T - order), range(J)):
            times = [float(TIME[t + k]) for k in range(order + 1)]
            points = [values(t + k, j) for k in range(order + 1)]
            if any(p is None for p in points):
                continue
            total = [0.0, 0.0, 0.0]
            for k, p in enumerate(points):
                weight = math.factorial(order) / math.prod(times[k] - s for i, s in enumerate(times) if i != k)
                total = [a + weight * b for a, b in zip(total, p, strict=True)]
            out[t, j] = length(total)
        return out

    def difference(t, j):
        return [float(a - b) for a, b in zip(PRED[t, j], TRUTH[t, j], strict=True)] if counts(t, j) else None

    def relative(t, j):
        """Relative to the root, which must be known but need not itself count."""
        x, y = PRED[t], TRUTH[t]
        if not counts(t, j) or not np.isfinite([x[0], y[0]]).all():
            return None
        return [float((x[j, i] - x[0, i]) - (y[j, i] - y[0, i])) for i in range(3)]

    def alone(t, j):
        return [float(v) for v in PRED[t, j]] if VALID[t, j] and np.isfinite(PRED[t, j]).all() else None

    options = {"time_s": TIME, "valid": VALID}
    for order, function, mean in (
        (1, motion.velocity_errors, motion.mpjve),
        (2, motion.acceleration_errors, motion.acceleration_error),
    ):
        want = derivative(order, difference)
        found = function(PRED, TRUTH, root=None, **options)
        scale = max(want.values())
        same(found / scale, {k: v / scale for k, v in want.items()})
        assert mean(PRED, TRUTH, root=None, **options) == pytest.approx(np.mean(list(want.values())), rel=1e-9)
    want = derivative(3, alone)
    scale = max(want.values())
    same(motion.jerk(PRED, **options) / scale, {k: v / scale for k, v in want.items()})
    assert motion.jitter(PRED, **options) == pytest.approx(np.mean(list(want.values())), rel=1e-9)
    want = derivative(1, relative)
    scale = max(want.values())
    found = motion.velocity_errors(PRED, TRUTH, **options)
    same(found / scale, {k: v / scale for k, v in want.items()})


def test_world():
    whole, first = {}, {}
    for start, stop in ((0, 100), (100, T)):
        at = [(t, j) for t in range(start, stop) for j in range(J) if counts(t, j)]
        for table, fit in ((whole, at), (first, [a for a in at if a[0] < start + 2])):
            move = horn([PRED[a] for a in fit], [TRUTH[a] for a in fit])
            table.update({a: math.dist(move(PRED[a]), TRUTH[a]) for a in at})
    same(world.wa_joint_errors(PRED, TRUTH, valid=VALID), whole)
    same(world.w_joint_errors(PRED, TRUTH, valid=VALID), first)
    assert world.wa_mpjpe(PRED, TRUTH, valid=VALID) == pytest.approx(np.mean(list(whole.values())), abs=1e-9)
    assert world.w_mpjpe(PRED, TRUTH, valid=VALID) == pytest.approx(np.mean(list(first.values())), abs=1e-9)

    frames = [t for t in range(T) if counts(t, 0)]
    x, y = [list(PRED[t, 0]) for t in frames], [list(TRUTH[t, 0]) for t in frames]
    move = horn(x, y, scale=False)
    way = sum(math.dist(a, b) for a, b in pairwise(y))
    want = 100 * sum(math.dist(move(a), b) for a, b in zip(x, y, strict=True)) / len(y) / way
    assert world.rte(PRED[:, 0], TRUTH[:, 0], valid=VALID[:, 0]) == pytest.approx(want, abs=1e-9)

    found = world.root_error(PRED[:, 0], TRUTH[:, 0])
    for t in frames:
        x, y = PRED[t, 0], TRUTH[t, 0]
        # Across the ray by the cross product, along it by Pythagoras.
        across = length(np.cross(x - y, y)) / length(y)
        assert found.total[t] == pytest.approx(math.dist(x, y), abs=1e-9)
        assert found.lateral[t] == pytest.approx(across, abs=1e-9)
        assert found.depth[t] == pytest.approx(math.sqrt(max(math.dist(x, y) ** 2 - across**2, 0)), abs=1e-9)
    ratios = sorted(TRUTH[t, 0, 2] / PRED[t, 0, 2] for t in range(T))
    assert world.depth_ratio(PRED[:, 0], TRUTH[:, 0]) == pytest.approx((ratios[114] + ratios[115]) / 2, abs=1e-9)


def test_feet():
    said, real = RNG.random((T, 2)) > 0.4, RNG.random((T, 2)) > 0.5
    use = RNG.random((T, 2)) > 0.2
    score = feet.contact_score(said, real, valid=use)
    for f in range(2):
        tp = sum(bool(said[t, f] and real[t, f] and use[t, f]) for t in range(T))
        fp = sum(bool(said[t, f] and not real[t, f] and use[t, f]) for t in range(T))
        fn = sum(bool(real[t, f] and not said[t, f] and use[t, f]) for t in range(T))
        p, r = tp / (tp + fp), tp / (tp + fn)
        np.testing.assert_allclose([c[f] for c in score[:3]], [p, r, 2 * p * r / (p + r)], atol=1e-9)
        assert score.frames[f] == use[:, f].sum()

    ankles = PRED[:, [6, 3]] - [0, 0, 5]
    slow = feet.true_contacts(TRUTH[:, [6, 3]], time_s=TIME, below_m_s=30.0)
    slide, speed = {}, feet.joint_foot_sliding(ankles, slow, time_s=TIME)
    for t, f in product(range(T - 1), range(2)):
        dt = TIME[t + 1] - TIME[t]
        assert slow[t, f] == (math.dist(TRUTH[t + 1, (6, 3)[f]], TRUTH[t, (6, 3)[f]]) / dt < 30.0)
        moved = math.dist(ankles[t + 1, f], ankles[t, f]) / dt
        if slow[t, f] and math.isfinite(moved):
            slide[t, f] = moved
    same(speed / 100, {k: v / 100 for k, v in slide.items()})

    pierce = feet.floor_piercing(ankles, floor_m=-0.3)
    for f in range(2):
        heights = [z for z in ankles[:, f, 2] if math.isfinite(z)]
        deep = [-0.3 - z for z in heights if z < -0.3]
        assert pierce.share[f] == pytest.approx(len(deep) / len(heights), abs=1e-9)
        assert pierce.depth_m[f] == pytest.approx(sum(deep) / len(deep), abs=1e-9)


def test_image():
    n = 40
    truth = RNG.uniform(0, 500, (n, 16, 2))
    pred = truth + RNG.normal(size=truth.shape) * 20
    pred[2, 4] = np.nan
    labelled = RNG.random((n, 16)) > 0.2
    labelled[:, 11] = False
    corner = RNG.uniform(0, 100, (n, 2))
    boxes = np.hstack([corner, corner + RNG.uniform(30, 90, (n, 2))])
    found = image.pckh(pred, truth, boxes, labelled=labelled)
    hits, total = {j: 0 for j in range(16)}, {j: 0 for j in range(16)}
    for i, j in product(range(n), range(16)):
        if labelled[i, j]:
            x0, y0, x1, y1 = boxes[i]
            total[j] += 1
            hits[j] += math.dist(pred[i, j], truth[i, j]) <= 0.5 * 0.6 * math.hypot(x1 - x0, y1 - y0)
    for j in range(16):
        assert found.labelled[j] == total[j]
        assert found.by_joint[j] == pytest.approx(hits[j] / total[j], abs=1e-9) if total[j] else True
    assert np.isnan(found.by_joint[11])
    kept = [j for j in range(16) if j not in (6, 7)]
    assert found.mean == pytest.approx(sum(hits[j] for j in kept) / sum(total[j] for j in kept), abs=1e-9)

    tenths = [0.26, 0.25, 0.25, 0.35, 0.35, 0.79, 0.79, 0.72, 0.72, 0.62, 0.62, 1.07, 1.07, 0.87, 0.87, 0.89, 0.89]
    truth = RNG.uniform(0, 500, (n, 17, 2))
    pred = truth + RNG.normal(size=truth.shape) * 15
    area = RNG.uniform(3000, 30000, n)
    seen = RNG.random((n, 17)) > 0.3
    found = image.oks(pred, truth, area, labelled=seen)
    for i in range(n):
        parts = [
            math.exp(-(math.dist(pred[i, j], truth[i, j]) ** 2) / (2 * area[i] * (2 * tenths[j] / 10) ** 2))
            for j in range(17)
            if seen[i, j]
        ]
        assert found[i] == pytest.approx(sum(parts) / len(parts), abs=1e-9)


def test_average_precision():
    images = []
    for _ in range(30):
        persons, extra = RNG.integers(0, 4), RNG.integers(0, 3)
        similarity = RNG.uniform(0, 0.6, (persons + extra, persons))
        for k in range(persons):
            similarity[k, k] = RNG.uniform(0.4, 1)
        images.append((similarity, RNG.random(persons + extra)))
    persons = sum(s.shape[1] for s, _ in images)
    want = []
    for percent in range(50, 100, 5):
        marks = []
        for similarity, score in images:
            taken = set()
            for d in sorted(range(len(score)), key=lambda k: -score[k]):
                best, at = percent / 100, None
                for g in range(similarity.shape[1]):
                    if g not in taken and similarity[d, g] >= best:
                        best, at = similarity[d, g], g
                if at is not None:
                    taken.add(at)
                marks.append((score[d], at is not None))
        marks.sort(key=lambda m: -m[0])
        curve, true = [], 0
        for k, (_, hit) in enumerate(marks, 1):
            true += hit
            curve.append((true / persons, true / k))
        levels = [max([p for r, p in curve if r >= k / 100 - 1e-15], default=0.0) for k in range(101)]
        want.append(sum(levels) / 101)
    mean, by_threshold = image.average_precision(images)
    np.testing.assert_allclose(by_threshold, want, atol=1e-9)
    assert mean == pytest.approx(sum(want) / 10, abs=1e-9)


def test_body():
    deviation = body.bone_length_deviation(PRED, valid=VALID)
    bones = joint_set("h36m17").bones
    means = {}
    for b, (parent, child) in enumerate(bones):
        lengths = [
            math.dist(PRED[t, parent], PRED[t, child])
            for t in range(T)
            if VALID[t, parent] and VALID[t, child] and np.isfinite(PRED[t, [parent, child]]).all()
        ]
        means[child] = math.fsum(lengths) / len(lengths)
        variance = math.fsum(v * v for v in lengths) / len(lengths) - means[child] ** 2
        assert deviation[b] == pytest.approx(math.sqrt(variance) / means[child], abs=1e-9)
    found = body.symmetry_deviation(PRED, valid=VALID)
    pairs = {"hip": (4, 1), "knee": (5, 2), "ankle": (6, 3), "shoulder": (11, 14), "elbow": (12, 15), "wrist": (13, 16)}
    assert set(found) == set(pairs)
    for name, (a, b) in pairs.items():
        want = abs(means[a] - means[b]) / (0.5 * (means[a] + means[b]))
        assert found[name] == pytest.approx(want, abs=1e-9)


def test_uncertainty():
    error, sigma = RNG.normal(size=(300, 3)), RNG.uniform(0.5, 2, (300, 3))
    error[4, 1], sigma[7, 2] = np.nan, np.nan
    share, table = uncertainty.share_within(error, sigma), uncertainty.reliability(error, sigma)
    nll = uncertainty.mean_nll(error, sigma)
    logs = []
    for axis in range(3):
        pairs = [
            (float(e), float(s)) for e, s in zip(error[:, axis], sigma[:, axis], strict=True) if math.isfinite(e * s)
        ]
        assert share[axis] == pytest.approx(sum(-s <= e <= s for e, s in pairs) / len(pairs), abs=1e-9)
        # The probability of a smaller error than this one, by the error function.
        inside = [math.erf(abs(e) / s / math.sqrt(2)) for e, s in pairs]
        for k, level in enumerate(uncertainty.LEVELS):
            want = sum(p <= level for p in inside) / len(pairs)
            assert table.observed[k, axis] == pytest.approx(want, abs=1e-9)
        logs += [-math.log(math.exp(-0.5 * (e / s) ** 2) / (s * math.sqrt(2 * math.pi))) for e, s in pairs]
    assert nll.value == pytest.approx(math.fsum(logs) / len(logs), abs=1e-9)
    assert (nll.counted, nll.of) == (898, 900)


def test_averages():
    errors = {"walk": RNG.random((50, 17)), "sit": RNG.random((10, 17)), "wave": RNG.random((31, 17))}
    errors["sit"][3, 4] = np.nan
    found = reduce.per_action(errors)
    means = [math.fsum(v for v in e.ravel() if v == v) / sum(v == v for v in e.ravel()) for e in errors.values()]
    assert found.value == pytest.approx(sum(means) / 3, abs=1e-9)
    together = np.concatenate(list(errors.values()))
    assert reduce.pooled(together).value == pytest.approx(
        math.fsum(v for v in together.ravel() if v == v) / (91 * 17 - 1), abs=1e-9
    )
