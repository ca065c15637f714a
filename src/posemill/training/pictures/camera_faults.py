"""What cameras and files do to a picture: too little light or sharpness, wrong colours, noise, compression."""

from __future__ import annotations

import numpy as np

__all__ = ["spoil"]


def spoil(picture: np.ndarray, rng: np.random.Generator, *, whole: bool = True) -> np.ndarray:
    """Give a picture (H, W, 3) uint8 a camera's faults, or only a little of another exposure; same shape."""
    import cv2

    if not whole:
        light = picture.astype(np.float32) * (rng.uniform(0.75, 1.25) * rng.uniform(0.95, 1.05, 3)) + rng.normal(0, 8)
        out = np.clip(light + rng.normal(0, 3, (*picture.shape[:2], 1)), 0, 255).astype(np.uint8)
        return cv2.GaussianBlur(out, (0, 0), rng.uniform(0.3, 0.9)) if rng.random() < 0.5 else out

    height, width = picture.shape[:2]
    out = picture
    if rng.random() < 0.3:
        factor = np.exp(rng.uniform(0.2, 1.2))
        small = cv2.resize(out, (int(width / factor), int(height / factor)), interpolation=cv2.INTER_AREA)
        out = cv2.resize(small, (width, height), interpolation=[cv2.INTER_LINEAR, cv2.INTER_CUBIC][rng.integers(2)])
    kind = rng.random()
    if kind < 0.3:
        out = cv2.GaussianBlur(out, (0, 0), rng.uniform(0.3, 1.6))
    elif kind < 0.4:
        out = _moved(out, rng)
    light = out.astype(np.float32) / 255
    if rng.random() < 0.7:
        light = light ** np.exp(rng.normal(-0.08, 0.25))
    if rng.random() < 0.7:
        light = (light - 0.5) * rng.uniform(0.5, 1.35) + 0.5 + rng.normal(0, 0.07)
    if rng.random() < 0.8:
        light = (
            light * rng.uniform(0.6, 1.4, 3)
            if rng.random() < 0.35
            else light * (rng.uniform(0.6, 1.35) * rng.uniform(0.9, 1.1, 3))
        )
    if rng.random() < 0.08:
        light = np.repeat(light.mean(-1, keepdims=True), 3, -1)
    elif rng.random() < 0.3:
        grey = light.mean(-1, keepdims=True)
        light = grey + (light - grey) * rng.uniform(0.2, 1.5)
    if rng.random() < 0.04:
        light = light * rng.uniform(0.15, 0.5)
    if rng.random() < 0.45:
        light = light + rng.standard_normal(light.shape, dtype=np.float32) * rng.uniform(0.005, 0.06)
    out = np.clip(255 * light, 0, 255).astype(np.uint8)
    if rng.random() < 0.5:
        _, data = cv2.imencode(".jpg", out, [cv2.IMWRITE_JPEG_QUALITY, int(rng.integers(15, 92))])
        out = cv2.imdecode(data, cv2.IMREAD_COLOR)
    return out


def _moved(picture: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Blur along a line."""
    import cv2

    size = int(rng.integers(3, 10))
    kernel = np.zeros((size, size), np.float32)
    middle = (size - 1) / 2
    way = middle * np.array([np.cos(angle := rng.uniform(0, np.pi)), np.sin(angle)])
    ends = [(round(middle + s * way[0]), round(middle + s * way[1])) for s in (-1, 1)]
    cv2.line(kernel, ends[0], ends[1], (1.0,), 1)
    return cv2.filter2D(picture, -1, kernel / kernel.sum())
