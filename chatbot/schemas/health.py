"""Answers to probes."""

from marshmallow import Schema, fields


class HealthSchema(Schema):
    """Whether the process lives or can serve, and its degraded parts."""

    status = fields.String(required=True, metadata={"enum": ["ok", "degraded", "unavailable"]})
    checks = fields.Dict(keys=fields.String(), values=fields.String())
