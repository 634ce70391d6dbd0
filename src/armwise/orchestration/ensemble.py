"""An ensemble: all members at once, and one of their answers.

Votes may count by what is predicted of each member for this very request: the predictions stand in the decision, so
what was done can be worked out again from the log.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from armwise.orchestration import prompts
from armwise.orchestration.ask import Ask, Draft
from armwise.orchestration.votes import Winner, ballot, log_odds, winner
from armwise.plans import Ensemble, Node, models_in
from armwise.providers.errors import UpstreamError


async def confer(node: Ensemble, ask: Ask, answer: Callable[[Node, Ask], Awaitable[Draft]]) -> Draft:
    """The answer that the members settle on; those that fail have no say, nor do refusals where anyone answers.

    Raises:
        UpstreamError: if every member failed.
    """
    given = await asyncio.gather(*(answer(member, ask) for member in node.members), return_exceptions=True)
    drafts: list[Draft] = []
    weights: list[float] = []
    failure: UpstreamError | None = None
    for member, came in zip(node.members, given, strict=True):
        if isinstance(came, UpstreamError):
            failure = came
        elif isinstance(came, BaseException):
            raise came
        else:
            drafts.append(came)
            weights.append(1.0 if node.pick == "majority" else _weight(member, ask))
    if not drafts:
        assert failure is not None
        raise failure
    useful = [i for i, draft in enumerate(drafts) if not (draft.completion.refused or draft.completion.empty)]
    if useful:
        drafts, weights = [drafts[i] for i in useful], [weights[i] for i in useful]
    ballots = [ballot(draft.completion.message, node.answer) for draft in drafts]
    won = winner(ballots, weights)
    if node.judge is not None and len(set(ballots)) > 1:
        won = await _judged(node.judge, drafts, ballots, ask) or won
    return drafts[won.position]._replace(confidence=won.share)


def _weight(member: Node, ask: Ask) -> float:
    """The log-odds of what is predicted of a member, or of its first model; 1 where nothing is known."""
    name = models_in(member)[0]
    if name not in ask.decision.arms:
        prior = ask.models[name].quality_prior
        return 1.0 if prior is None else log_odds(prior)
    return log_odds(float(ask.decision.predictions.quality[ask.decision.arms.index(name)]))


async def _judged(judge: str, drafts: list[Draft], ballots: list[str], ask: Ask) -> Winner | None:
    """What the judge picks among the answers that differ; None where it fails or names none of them."""
    distinct = [ballots.index(vote) for vote in dict.fromkeys(ballots)]
    body = prompts.choice(ask.body, [drafts[i].completion.message for i in distinct])
    try:
        said = await ask.calls.complete(ask.models[judge], body)
    except UpstreamError:
        return None
    number = prompts.number_in(said.text)
    if number is None or not 1 <= number <= len(distinct) or number != int(number):
        return None
    position = distinct[int(number) - 1]
    return Winner(position, ballots.count(ballots[position]) / len(ballots))
