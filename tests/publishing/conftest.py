"""The fixtures of the classroom serve here, too."""

from tests.classroom.conftest import *  # noqa: F403
