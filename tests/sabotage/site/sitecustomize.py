"""Python imports this at its start, where the folder is on its path: the mechanism is off before anything runs."""

import os

if os.environ.get("SABOTAGE"):
    from tests.sabotage.mechanisms import SABOTAGES

    SABOTAGES[os.environ["SABOTAGE"]].switch_off()
