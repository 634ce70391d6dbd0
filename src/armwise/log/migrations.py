"""What brings a log from one version of the schema to the next. Append; never change one that was released."""

from __future__ import annotations

_FIRST: tuple[str, ...] = (
    """CREATE TABLE decisions (
        "position" BIGINT NOT NULL, "id" VARCHAR NOT NULL, "unix_time" DOUBLE, "arm" VARCHAR,
        "propensity" DOUBLE, "predicted_quality" DOUBLE, "predicted_cost_usd" DOUBLE,
        "predicted_latency_ms" DOUBLE, "cost_weight" DOUBLE, "latency_weight" DOUBLE, "cost_ref_usd" DOUBLE,
        "latency_ref_ms" DOUBLE, "task" VARCHAR, "input_tokens" BIGINT, "tools" BOOLEAN,
        "modalities" VARCHAR[], "tenant" VARCHAR, "session" VARCHAR, "policy_version" VARCHAR,
        "feature_version" VARCHAR, "method" VARCHAR, "seed" UBIGINT, "arms" VARCHAR[],
        "probability_of" DOUBLE[], "predicted_quality_of" DOUBLE[], "predicted_cost_usd_of" DOUBLE[],
        "predicted_latency_ms_of" DOUBLE[], "excluded" MAP(VARCHAR, VARCHAR), "vector" FLOAT[],
        "vector_exact" DOUBLE[])""",
    """CREATE TABLE signals (
        "position" BIGINT NOT NULL, "decision_id" VARCHAR NOT NULL, "kind" VARCHAR, "value" DOUBLE,
        "source" VARCHAR, "event_id" VARCHAR, "unix_time" DOUBLE)""",
    """CREATE TABLE attempts (
        "position" BIGINT NOT NULL, "decision_id" VARCHAR NOT NULL, "attempt" BIGINT, "model" VARCHAR,
        "unix_time" DOUBLE, "status" VARCHAR, "latency_ms" DOUBLE, "input_tokens" BIGINT,
        "output_tokens" BIGINT, "cost_usd" DOUBLE)""",
    """CREATE TABLE pool_changes (
        "position" BIGINT NOT NULL, "action" VARCHAR, "name" VARCHAR, "arm" VARCHAR, "unix_time" DOUBLE)""",
    """CREATE TABLE policy_versions (
        "version" VARCHAR NOT NULL, "position" BIGINT, "unix_time" DOUBLE, "feature_version" VARCHAR,
        "spec" VARCHAR)""",
    """CREATE TABLE signal_kinds (
        "kind" VARCHAR NOT NULL, "quality" DOUBLE)""",
    """CREATE TABLE gaps (
        "first" BIGINT NOT NULL, "last" BIGINT NOT NULL, "reason" VARCHAR, "unix_time" DOUBLE)""",
    """CREATE TABLE meta (
        "key" VARCHAR NOT NULL, "value" VARCHAR)""",
)

_REWARD_LEDGER: tuple[str, ...] = (
    "ALTER TABLE signals ADD COLUMN retracts VARCHAR",
    """CREATE TABLE judge_draws (position BIGINT NOT NULL, decision_id VARCHAR NOT NULL, judge VARCHAR,
        probability DOUBLE, drawn BOOLEAN, unix_time DOUBLE)""",
    """CREATE TABLE source_changes (position BIGINT NOT NULL, source VARCHAR, "offset" DOUBLE, slope DOUBLE,
        noise DOUBLE, weight DOUBLE, training BOOLEAN, reason VARCHAR, unix_time DOUBLE)""",
    "DROP TABLE signal_kinds",
    """CREATE TABLE signal_kinds (kind VARCHAR NOT NULL, at_zero DOUBLE, at_one DOUBLE, variance DOUBLE, weight DOUBLE,
        question VARCHAR)""",
    "CREATE TABLE reward_rules (final_after_s DOUBLE)",
)

_SESSIONS: tuple[str, ...] = (
    "ALTER TABLE decisions ADD COLUMN head VARCHAR",
    "ALTER TABLE decisions ADD COLUMN switched VARCHAR",
)

_BUDGETS: tuple[str, ...] = (
    """CREATE TABLE budget_changes (position BIGINT NOT NULL, action VARCHAR, name VARCHAR, usd DOUBLE, per VARCHAR,
        tenant VARCHAR, task VARCHAR, hard_stop BOOLEAN, declared BOOLEAN, unix_time DOUBLE)""",
)

_ROLLOUT: tuple[str, ...] = (
    """CREATE TABLE rollout_changes (position BIGINT NOT NULL, stage VARCHAR, version VARCHAR, share DOUBLE,
        tolerance DOUBLE, level DOUBLE, rule VARCHAR, sequence BIGINT, promoted_by VARCHAR, reason VARCHAR,
        unix_time DOUBLE)""",
    "ALTER TABLE decisions ADD COLUMN candidate VARCHAR",
    "ALTER TABLE decisions ADD COLUMN candidate_share DOUBLE",
    "ALTER TABLE decisions ADD COLUMN candidate_probability_of DOUBLE[]",
)

_POOL: tuple[str, ...] = ("ALTER TABLE pool_changes ADD COLUMN changed_by VARCHAR",)

MIGRATIONS: tuple[tuple[str, ...], ...] = (_FIRST, _REWARD_LEDGER, _SESSIONS, _BUDGETS, _ROLLOUT, _POOL)
"""From schema version i to i + 1. Version 0 is an empty database. The last leads to ``schema.COLUMNS``."""
