"""Which arm does best, whatever is asked: a bandit without context."""

from armwise.contracts import BayesianModel
from armwise.policies.thompson import ThompsonSampling


class Performance(ThompsonSampling):
    """Thompson sampling on each arm's own record of quality (engine ``means``), blind to the prompt.

    What each request would cost is still taken into account, so prompts of different lengths may go to different arms.
    The least that a contextual policy has to beat, and the right choice where contexts tell nothing. With binary
    rewards and no penalties it is Beta-Bernoulli Thompson sampling (Chapelle & Li 2011) up to a normal approximation.
    """

    name = "performance"
    engine = "means"

    def __init__(
        self,
        model: BayesianModel,
        *,
        scale: float = 1.0,
        horizon: float = 1000.0,
        per_arm: float = 0.0,
        nodes: int = 64,
        floor: float = 0.0,
        explored: float = 1.0,
    ) -> None:
        super().__init__(
            model, scale=scale, horizon=horizon, per_arm=per_arm, nodes=nodes, floor=floor, explored=explored
        )
