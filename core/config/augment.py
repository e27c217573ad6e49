"""Settings of the data augmentation."""

from __future__ import annotations

from dataclasses import dataclass

from core.config.knob import knob


@dataclass(frozen=True)
class AugmentConfig:
    """Random changes of the training images. 0 switches one off."""

    flip: float = knob(
        0.0, "Flip left-right", "Probability of a mirror image. It also mirrors the letters L and R, and "
        "in a chest puts the heart on the other side.", low=0.0, high=1.0, step=0.05, group="common changes",
        beside="Probability")
    flip_vertical: float = knob(
        0.0, "Flip up-down", "Probability of a flip top to bottom.", low=0.0, high=1.0, step=0.05,
        beside="Probability")
    crop: float = knob(
        0.0, "Crop", "Each side loses up to this fraction of the image; the rest is resized to fill it.",
        low=0.0, high=0.4, step=0.01, beside="Up to")
    scale: float = knob(
        0.0, "Scale", "Larger or smaller by up to this fraction.", low=0.0, high=0.5, step=0.01,
        beside="Up to")
    shear: float = knob(
        0.0, "Shear", "Upright lines lean by up to this angle.", low=0.0, high=45.0, step=1.0, unit="degrees",
        beside="Up to (degrees)")
    rotate: float = knob(
        0.0, "Rotate", "By up to this angle to either side.", low=0.0, high=180.0, step=1.0, unit="degrees",
        group="common changes", beside="Up to (degrees)")
    shift: float = knob(
        0.0, "Shift", "By up to this fraction of the side, horizontally and vertically.", low=0.0, high=0.5,
        step=0.01, group="common changes", beside="Up to")
    blur: float = knob(
        0.0, "Gaussian blur", "Probability of being blurred.", low=0.0, high=1.0, step=0.05,
        beside="Probability")
    blur_sigma: float = knob(
        0.5, "Maximum blur", "Largest standard deviation of the Gaussian, in pixels of the network's input.",
        low=0.0, high=5.0, step=0.1, unit="px", beside="Up to (px)")
    brightness: float = knob(
        0.0, "Brightness", "Brighter or darker by up to this fraction of the full range.", low=0.0, high=0.5,
        step=0.01, beside="Up to")
    contrast: float = knob(
        0.0, "Contrast", "Higher or lower about the mean by up to this fraction.", low=0.0, high=0.9,
        step=0.05, beside="Up to")
    linear_contrast: float = knob(
        0.0, "Linear contrast", "Probability of a contrast change about mid-gray.", low=0.0, high=1.0,
        step=0.05, beside="Probability")
    linear_contrast_low: float = knob(
        0.75, "Linear contrast from", "Smallest factor: below 1 gray values move towards mid-gray.", low=0.0,
        high=1.0, step=0.05, beside="From")
    linear_contrast_high: float = knob(
        1.5, "Linear contrast to", "Largest factor: above 1 gray values move away from mid-gray.", low=1.0,
        high=4.0, step=0.05, beside="To")
    multiply: float = knob(
        0.0, "Multiply", "Probability that all gray values are multiplied by a factor.", low=0.0, high=1.0,
        step=0.05, beside="Probability")
    multiply_low: float = knob(
        0.8, "Multiply from", "Smallest factor: below 1 the image is darker.", low=0.0, high=1.0, step=0.05,
        beside="From")
    multiply_high: float = knob(
        1.2, "Multiply to", "Largest factor: above 1 the image is brighter.", low=1.0, high=4.0, step=0.05,
        beside="To")
    saturation: float = knob(
        0.0, "Saturation", "More or less by up to this fraction. Has no effect on gray images.", low=0.0,
        high=1.0, step=0.05, beside="Up to")
    hue: float = knob(
        0.0, "Hue", "Rotated by up to this fraction of the colour circle; 0.5 is the opposite colour. Has "
        "no effect on gray images.", low=0.0, high=0.5, step=0.01, beside="Up to")
    noise: float = knob(
        0.0, "Gaussian noise", "Probability of adding noise.", low=0.0, high=1.0, step=0.05,
        beside="Probability")
    noise_scale: float = knob(
        0.05, "Noise strength", "Standard deviation of the noise, as a fraction of the full range.", low=0.0,
        high=0.5, step=0.01, beside="Strength")
    noise_per_channel: float = knob(
        0.5, "Noise per channel", "Probability that red, green and blue get different noise.", low=0.0,
        high=1.0, step=0.05, beside="Per channel")
