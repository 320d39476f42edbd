"""The prefix of every name that is ours; upstream reserves the others."""

from typing import Final

PREFIX: Final = "tracetoll"
