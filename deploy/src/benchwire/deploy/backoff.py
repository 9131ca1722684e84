"""When a part that died is started again."""

# Ours, and not tenacity's: those repeat a call that raised, here a process that ran for a while has ended. One machine restarts its
# own few parts, so that there is no crowd to spread with jitter either, and the line that is printed can say the exact delay.
FIRST_S = 0.25
LONGEST_S = 30.0

# A life that was healthy this long ends the series: what happens now is a new misfortune, not the old one.
FORGIVEN_AFTER_S = 60.0

# EX_CONFIG says that trying again without a change is of no use. It is believed the third time in a row: right after a kill the
# predecessor's file lock may not be gone yet, and that looks the same.
REFUSALS_BELIEVED = 3


def delay_s(deaths: int) -> float:
    """Seconds to wait after the ``deaths``-th death in a row, from 1: doubling, up to ``LONGEST_S``."""
    # The exponent is bounded before the power is taken; a float would overflow after a thousand deaths.
    return min(LONGEST_S, FIRST_S * 2.0 ** min(deaths - 1, 16))
