"""The commands of `python -m core`, one row each, in the order of the list that --help gives.

A new command is a function in one of the files imported here, and a row in the COMMANDS at that file's end.
"""

from core.commands import data, ensemble, evaluate, explain, folds, network, predict, train
from core.commands.options import Command

COMMANDS: tuple[Command, ...] = (
    *data.COMMANDS, *network.COMMANDS, *train.COMMANDS, *ensemble.COMMANDS, *evaluate.COMMANDS, *folds.COMMANDS,
    *explain.COMMANDS, *predict.COMMANDS)
