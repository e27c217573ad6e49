"""What answers are worth: intervals, baselines, thresholds, calibration, groups, tests between two runs, suspicious labels.

Arrays in, numbers out, as in `core.metrics`; what belongs to one run lies in its folder.
"""
