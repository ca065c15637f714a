"""Procedural motions: pure functions of time, so that the same motion at another frame rate is the same movement.

Every motion happens within about 1.3 m of the world's origin on the floor z = 0.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from posemill.errors import InputError
from posemill.twin.body import Body, Pose
from posemill.twin.gait import Footstep, foot_track, stand_on
from posemill.twin.kinematics import keys, turn, upper_body

__all__ = ["BOX", "MOTIONS", "animate", "squat_and_reach", "step_up", "walk_and_turn", "wave"]

BOX = (0.25, -0.45, 0.80, 0.45, 0.20)
"""The box that ``step_up`` steps on: x0, y0, x1, y1, height, world metres."""

_FOREVER = 1e6


def _oval(a: float, b: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Arc length (N,) and points (N, 2) of an ellipse, and its heading (N,) unwrapped."""
    angle = np.linspace(0, 2 * np.pi, 4001)
    points = np.stack([a * np.cos(angle), b * np.sin(angle)], -1)
    length = np.concatenate([[0], np.cumsum(np.linalg.norm(np.diff(points, axis=0), axis=1))])
    return length, points, np.unwrap(np.arctan2(b * np.cos(angle), -a * np.sin(angle)))


def walk_and_turn(body: Body, time: np.ndarray) -> Pose:
    """Walk round a 2.1 m x 1.5 m oval, five strides a lap, at a comfortable 0.95 m/s for 1.75 m of stature.

    Parameters
    ----------
    body
        Step length and speed scale with the legs.
    time
        (T,) seconds.
    """
    scale = body.height_m / 1.75
    length, points, heading = _oval(1.05 * scale, 0.77 * scale)
    lap = length[-1]
    steps_per_lap = 11.0
    step_s = 0.56 * np.sqrt(scale)
    speed = lap / steps_per_lap / step_s

    def along(t: np.ndarray | float) -> tuple[np.ndarray, np.ndarray]:
        travelled = np.asarray(t, dtype=np.float64) * speed
        laps, rest = np.floor_divide(travelled, lap), np.mod(travelled, lap)
        xy = np.stack([np.interp(rest, length, points[:, i]) for i in (0, 1)], -1)
        return xy, np.interp(rest, length, heading) + 2 * np.pi * laps

    stance_s = 1.24 * step_s
    first, last = int(time.min() / step_s) - 4, int(time.max() / step_s) + 4
    plans: dict[str, list[Footstep]] = {"left_": [], "right_": []}
    for i in range(first, last + 1):
        side, sign = ("left_", 1.0) if i % 2 == 0 else ("right_", -1.0)
        strike = i * step_s
        xy, yaw = along(strike + 0.44 * stance_s)
        lateral = 0.055 * scale * sign
        x, y = xy + lateral * np.array([-np.sin(yaw), np.cos(yaw)])
        plans[side].append(
            Footstep(strike, strike + stance_s, float(x), float(y), yaw=float(yaw) + 0.09 * sign, clearance_m=0.02)
        )
    feet = {side: foot_track(body, side, plan, time) for side, plan in plans.items()}

    xy, yaw = along(time)
    stride = np.pi * time / step_s  # pi per step, 2 pi per stride; the left foot strikes at 0
    sway = scale * (0.02 + 0.018 * np.sin(stride - 0.35))
    bob = -0.020 * scale * np.cos(2 * stride - 0.25)
    root = np.stack(
        [
            xy[:, 0] - np.sin(yaw) * sway,
            xy[:, 1] + np.cos(yaw) * sway,
            np.full(time.shape, body.hip_height_m - 0.040 * scale) + bob,
        ],
        -1,
    )
    # The pelvis turns the leg that is in front forward; the chest turns against it, and the arms with the chest.
    swing = np.cos(stride)
    pelvis = (
        turn("z", yaw - 0.07 * swing) @ turn("x", 0.05 * np.sin(stride - 0.35)) @ turn("y", np.full(time.shape, 0.04))
    )
    angles: dict[str, np.ndarray | float] = {
        "bend": 0.02,
        "twist": 0.16 * swing + 0.06,
        "side": 0.04 * np.sin(stride - 0.35),
        "look": 0.22 - 0.07 * swing,
        "nod": 0.04,
    }
    for side, sign in (("left_", 1.0), ("right_", -1.0)):
        phase = -sign * np.cos(stride - 0.15)
        angles |= {
            side + "raise": 0.04 + 0.36 * phase,
            side + "abduct": 0.13,
            side + "inward": 0.25,
            side + "elbow": 0.42 + 0.22 * phase,
            side + "pronate": 0.35,
            side + "wrist": 0.05,
        }
    return stand_on(body, root, upper_body(time, pelvis, angles), feet)


def _stance(body: Body, time: np.ndarray, width: float, toe_out: float, x: float = 0.0) -> dict:
    """Both feet flat on the floor at all times."""
    return {
        side: foot_track(
            body,
            side,
            [Footstep(-_FOREVER, _FOREVER, x, sign * width / 2, yaw=sign * toe_out, strike_pitch=0, lift_pitch=0)],
            time,
        )
        for side, sign in (("left_", 1.0), ("right_", -1.0))
    }


def _looped(time: np.ndarray, period_s: float) -> np.ndarray:
    return np.mod(time, period_s)


def squat_and_reach(body: Body, time: np.ndarray) -> Pose:
    """Squat with the arms forward, then reach up to the right, down to the left, and forward; 7 s, repeated.

    Parameters
    ----------
    body
        Who does it.
    time
        (T,) seconds.
    """
    t, scale = _looped(time, 7.0), body.height_m / 1.75
    at = [0.2, 1.3, 1.6, 2.6, 3.5, 3.9, 4.8, 5.2, 6.1, 6.9]

    def move(*values: float) -> np.ndarray:
        return keys(t, at, list(values))

    drop = scale * move(0, 0.36, 0.36, 0, 0.0, 0.0, 0.16, 0.16, 0.03, 0)
    squat = drop / (0.36 * scale)
    root = np.stack(
        [
            scale * (-0.005 - 0.13 * squat),
            scale * move(0, 0, 0, 0, -0.06, -0.06, 0.07, 0.07, 0, 0),
            body.hip_height_m - 0.012 * scale - drop,
        ],
        -1,
    )
    pelvis = turn("z", move(0, 0, 0, 0, -0.12, -0.12, 0.18, 0.18, 0, 0)) @ turn("y", 0.42 * squat)
    angles: dict[str, np.ndarray | float] = {
        "bend": move(0.02, 0.30, 0.30, 0.02, -0.05, -0.05, 0.45, 0.45, 0.22, 0.02),
        "twist": move(0, 0, 0, 0, -0.30, -0.30, 0.45, 0.45, 0, 0),
        "side": move(0, 0, 0, 0, 0.12, 0.12, 0.10, 0.10, 0, 0),
        "nod": move(0.02, -0.35, -0.35, 0.02, -0.35, -0.35, 0.10, 0.10, 0, 0.02),
        "look": move(0, 0, 0, 0, -0.25, -0.25, 0.20, 0.20, 0, 0),
        "left_raise": move(0.05, 1.50, 1.50, 0.05, 0.15, 0.15, 0.70, 0.70, 1.35, 0.05),
        "right_raise": move(0.05, 1.50, 1.50, 0.05, 2.55, 2.55, 1.05, 1.05, 1.35, 0.05),
        "left_abduct": move(0.14, 0.10, 0.10, 0.14, 0.45, 0.45, 0.55, 0.55, 0.12, 0.14),
        "right_abduct": move(0.14, 0.10, 0.10, 0.14, 0.30, 0.30, 0.02, 0.02, 0.12, 0.14),
        "left_inward": move(0.2, 0.3, 0.3, 0.2, 0.2, 0.2, 0.1, 0.1, 0.3, 0.2),
        "right_inward": move(0.2, 0.3, 0.3, 0.2, 0.2, 0.2, 0.3, 0.3, 0.3, 0.2),
        "left_elbow": move(0.25, 0.25, 0.25, 0.25, 0.55, 0.55, 0.35, 0.35, 0.30, 0.25),
        "right_elbow": move(0.25, 0.25, 0.25, 0.25, 0.20, 0.20, 0.30, 0.30, 0.30, 0.25),
        "left_pronate": move(0.3, 1.2, 1.2, 0.3, 0.3, 0.3, 0.8, 0.8, 0.9, 0.3),
        "right_pronate": move(0.3, 1.2, 1.2, 0.3, 0.9, 0.9, 0.8, 0.8, 0.9, 0.3),
    }
    feet = _stance(body, time, 0.36 * scale, 0.30, x=0.02 * scale)
    return stand_on(body, root, upper_body(time, pelvis, angles), feet, knee_out=0.12)


def wave(body: Body, time: np.ndarray) -> Pose:
    """Stand, shift the weight and wave, with the right hand and then with the left; 7 s, repeated.

    Parameters
    ----------
    body
        Who does it.
    time
        (T,) seconds.
    """
    t, scale = _looped(time, 7.0), body.height_m / 1.75
    right = keys(t, [0.3, 1.1, 2.9, 3.6], [0, 1, 1, 0])
    left = keys(t, [3.5, 4.3, 6.0, 6.8], [0, 1, 1, 0])
    shift = scale * 0.05 * (right - left)
    root = np.stack(
        [np.full(time.shape, -0.005 * scale), shift, body.hip_height_m - scale * (0.007 + 0.004 * (right + left))], -1
    )
    pelvis = turn("z", 0.08 * (left - right)) @ turn("x", 0.04 * (left - right))
    angles: dict[str, np.ndarray | float] = {
        "bend": 0.02,
        "side": 0.08 * (right - left),
        "twist": 0.15 * (left - right),
        "tilt": 0.08 * (left - right),
        "look": 0.25 * (left - right),
    }
    for side, up in (("left_", left), ("right_", right)):
        beat = up * np.sin(2 * np.pi * 1.4 * t)
        angles |= {
            side + "raise": 0.05 + 0.35 * up,
            side + "abduct": 0.14 + 1.35 * up,
            side + "inward": 0.2 - 1.45 * up,
            side + "elbow": 0.25 + 1.35 * up + 0.38 * beat,
            side + "pronate": 0.3 + 0.9 * up,
            side + "wrist": 0.15 * beat,
        }
    feet = _stance(body, time, 0.30 * scale, 0.18)
    return stand_on(body, root, upper_body(time, pelvis, angles), feet)


def step_up(body: Body, time: np.ndarray) -> Pose:
    """Step on the 0.2 m high box with the right foot, stand, and step back down; 6 s, repeated.

    Parameters
    ----------
    body
        Who does it.
    time
        (T,) seconds.
    """
    period, scale = 6.0, body.height_m / 1.75
    height = BOX[4]
    ground_x, top_x, half = -0.12 * scale, 0.42, 0.11 * scale
    # (foot, lifts at, strikes at, x, z) within one period.
    schedule = (
        ("right_", 0.5, 1.3, top_x, height),
        ("left_", 1.6, 2.4, top_x, height),
        ("right_", 3.3, 4.1, ground_x, 0.0),
        ("left_", 4.4, 5.2, ground_x, 0.0),
    )
    plans: dict[str, list[Footstep]] = {"left_": [], "right_": []}
    first, last = int(np.floor(time.min() / period)) - 1, int(np.floor(time.max() / period)) + 1
    for k in range(first, last + 1):
        for side, sign in (("left_", 1.0), ("right_", -1.0)):
            up, down = (move for move in schedule if move[0] == side)
            for here, following in ((up, down), (down, up)):
                lift = k * period + following[1] + (0 if here is up else period)
                plans[side].append(
                    Footstep(
                        k * period + here[2], lift, here[3], sign * half, here[4],
                        yaw=0.08 * sign, strike_pitch=0, lift_pitch=0, clearance_m=0.06,
                    )
                )  # fmt: skip
    feet = {side: foot_track(body, side, plan, time) for side, plan in plans.items()}
    t = _looped(time, period)

    def move(at: list[float], values: list[float]) -> np.ndarray:
        return keys(t, at, values)

    x = move([0.2, 1.2, 1.55, 2.4, 3.1, 4.05, 4.3, 5.3], [ground_x, 0.08, 0.08, top_x, top_x, 0.12, 0.12, ground_x])
    y = scale * move(
        [0, 0.5, 1.2, 1.7, 2.5, 3.1, 3.5, 4.1, 4.5, 5.2, 5.8], [0, 0.05, 0.05, -0.06, 0, 0, 0.05, 0.05, -0.05, -0.02, 0]
    )
    z = move([0.2, 0.9, 1.6, 2.4, 3.1, 4.0, 4.5, 5.3], [0, -0.03, -0.01, height, height, -0.02, -0.02, 0])
    root = np.stack([x, y, body.hip_height_m - 0.03 * scale + z], -1)
    lean = move([0.4, 1.3, 2.4, 3.2, 3.9, 5.0], [0.03, 0.30, 0.03, 0.03, 0.22, 0.03])
    pelvis = turn("y", 0.5 * lean)
    swing = move([0.4, 1.2, 1.6, 2.4, 3.2, 4.0, 4.4, 5.2], [0, 1, 1, 0, 0, 1, 1, 0])
    angles: dict[str, np.ndarray | float] = {"bend": lean, "nod": 0.25 * lean + 0.08}
    for side, sign in (("left_", 1.0), ("right_", -1.0)):
        angles |= {
            side + "raise": 0.05 + (0.42 if sign > 0 else -0.25) * swing,
            side + "abduct": 0.15 + 0.12 * swing,
            side + "inward": 0.25,
            side + "elbow": 0.35 + 0.2 * swing,
            side + "pronate": 0.3,
        }
    return stand_on(body, root, upper_body(time, pelvis, angles), feet)


MOTIONS: dict[str, Callable[[Body, np.ndarray], Pose]] = {
    "walk_and_turn": walk_and_turn,
    "squat_and_reach": squat_and_reach,
    "wave": wave,
    "step_up": step_up,
}


def animate(name: str, body: Body, time: np.ndarray) -> Pose:
    """Run the motion of that name at the given times (T,) in seconds; raises InputError with the names that exist."""
    try:
        motion = MOTIONS[name]
    except KeyError:
        raise InputError(f"unknown motion {name!r}; known: {', '.join(sorted(MOTIONS))}") from None
    return motion(body, np.asarray(time, dtype=np.float64))
