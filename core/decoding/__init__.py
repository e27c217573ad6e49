"""Decoding of what a person brings, in worker processes with limits. `core/datasets/decode.py` is the door.

    pool.py      the parent's side: warm workers, replaced when one crashes, hangs or reaches a limit
    worker.py    the child's side: limits, then one request after the other; imports numpy, Pillow and pydicom, nothing else
    picture.py   the rules: format, size, orientation, alpha, palette; png.py, tiff.py, netpbm.py, dicom.py a format each
    depth.py     more than 8 bits to 8 bits

What lies here is imported by the child, so it knows nothing of the rest of core.
"""
