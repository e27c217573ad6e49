"""The commands of `python -m core`, one row each, in the order of the list that --help gives.

A new command is a function in data, network, train, evaluate, explain or predict, and a row in the COMMANDS at that file's end.
"""

from core.commands import data, evaluate, explain, network, predict, train
from core.commands.options import Command

COMMANDS: tuple[Command, ...] = (
    *data.COMMANDS, *network.COMMANDS, *train.COMMANDS, *evaluate.COMMANDS, *explain.COMMANDS, *predict.COMMANDS)
