"""What was asked before that looks like this, and how did each arm do on it?"""

from armwise.contracts import BayesianModel
from armwise.policies.linucb import LinUCB


class NearestNeighbours(LinUCB):
    """The k-nearest-neighbour bandit (Reeve, Mellor & Brown 2018; Guan & Jiang 2018): optimism over the engine
    ``neighbours``, whose memory is bounded.

    It assumes that quality is smooth in the context and nothing else. Regret bounds shrink with the context's intrinsic
    dimension, so in more than a few dimensions it needs many requests before it knows more than each arm's mean.
    """

    name = "knn"
    engine = "neighbours"

    def __init__(self, model: BayesianModel, *, alpha: float = 0.5, floor: float = 0.02) -> None:
        super().__init__(model, alpha=alpha, floor=floor)
