"""From a decision to an answer: calling models, falling back, and plans over several of them.

=====================  ==============================================================================================
``orchestrator``       a request in, an answer or a stream out, whatever the arm is
``answer``             what comes out, with its account
``calls``              the upstream calls of one decision: numbered, logged, billed
``fallback``           when an arm is given up, and which is next
``stream``             the accepted answer as chunks
``body``               between requests and OpenAI bodies
=====================  ==============================================================================================
"""

from armwise.orchestration.answer import Answer
from armwise.orchestration.fallback import Fallback
from armwise.orchestration.orchestrator import Orchestrator, Witness
from armwise.orchestration.stream import AnswerStream, BlockingAnswerStream

__all__ = ["Answer", "AnswerStream", "BlockingAnswerStream", "Fallback", "Orchestrator", "Witness"]
