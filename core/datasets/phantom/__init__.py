"""Phantom radiographs: X-rays of people who do not exist, made by the app from simple physics. Nothing is downloaded.

A body part is bones (cortex around spongy bone around marrow) in soft tissue, all of them quadrics cut by planes
(solids.py, bones.py, and a file for each part: elbow.py, finger.py, forearm.py, hand.py, humerus.py, shoulder.py, wrist.py).
For each ray the length t_m inside each material m is exact, and

    L = sum_m mu_m t_m                      attenuation in neper
    I = I0 exp(-L)                          Beer-Lambert: what is left of I0 photons

with the linear attenuation coefficients near 60 keV (NIST XCOM), per cm:

    soft tissue 0.206   fat, yellow marrow 0.188   cortical bone 0.604   titanium 3.45   steel 9.5

Spongy bone is taken as a quarter cortex and three quarters marrow (0.30), lung as soft tissue at a quarter of the density
(0.054). Then the tube and the detector add what they add: blur of focal spot and detector, a floor of scatter, Poisson noise in
photons; and the console's software takes the logarithm, evens it out and windows it, bones bright (xray.py, render.py).

Every patient has one to three studies of an elbow, a shoulder or a wrist (or of any of the seven parts of MURA), a study two or
three views: true turns of one model, whose joints bend (cohort.py). A study is normal, or it has a fracture, a lytic lesion or a
metal plate with screws, seen in all of its views, with its exact mask (findings.py). Because the truth is known, explanations
and audits can be scored.

    pixels, mask = render(patient=3, study=0, view=0)
    for pixels, mask, row in samples(6): ...
    source = PhantomSource()
    source = PhantomSource(SEVEN_PARTS)

Not for clinical use, and not a substitute for real data: it is much simpler than a person.
"""

from core.datasets.phantom.cohort import PhantomConfig
from core.datasets.phantom.render import render
from core.datasets.phantom.source import PhantomSource, render_many, samples

SEVEN_PARTS = PhantomConfig(parts=("elbow", "finger", "forearm", "hand", "humerus", "shoulder", "wrist"), patients=600)

__all__ = ["SEVEN_PARTS", "PhantomConfig", "PhantomSource", "render", "render_many", "samples"]
