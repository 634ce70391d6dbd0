"""Public fakes: a provider simulator over real HTTP, and tasks whose answers can be checked.

=====================================  =======================================================================
:mod:`armwise.testing.simulator`       ``ProviderSimulator``: OpenAI, Anthropic and Gemini endpoints on loopback
:mod:`armwise.testing.tasks`           prompts of graded difficulty, each with a checker ``score(task, answer)``
=====================================  =======================================================================
"""
