"""What probes read."""

from marshmallow import Schema, fields


class HealthSchema(Schema):
    """Whether the process lives or can serve, and what is degraded."""

    status = fields.String(required=True, metadata={"enum": ["ok", "degraded", "unavailable"]})
    checks = fields.Dict(keys=fields.String(), values=fields.String())
