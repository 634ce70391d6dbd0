"""From a decision to an answer: calling models, falling back, and plans over several of them.

=======================================  ============================================================================
``orchestrator``, ``run``                a request in, an answer or a stream out; one request on its way
``answer``, ``stream``                   what comes out, with its account; the accepted answer as chunks
``calls``                                the upstream calls of one decision: numbered, logged, billed
``fallback``                             when an arm is given up, and which is next
``conduct``, ``cascade``, ``ensemble``   carrying out a plan (what plans are: :mod:`armwise.plans`)
``ask``                                  what a plan is asked, and what it gives back
``checks``, ``form``, ``votes``          how sure an answer is, whether it has its form, what it votes for
``prompts``                              what verifiers and judges are asked
``body``                                 between requests and OpenAI bodies
=======================================  ============================================================================
"""

from armwise.orchestration.answer import Answer
from armwise.orchestration.fallback import Fallback
from armwise.orchestration.orchestrator import Orchestrator, Witness
from armwise.orchestration.stream import AnswerStream, BlockingAnswerStream

__all__ = ["Answer", "AnswerStream", "BlockingAnswerStream", "Fallback", "Orchestrator", "Witness"]
