"""The base of all tables and the database object that Flask-SQLAlchemy binds to an application."""

import sqlalchemy as sa
from flask_sqlalchemy import SQLAlchemy
from sqlalchemy.orm import DeclarativeBase

from . import ping
from .pool import FairPool
from .sqlite import dialect

__all__ = ["Model", "db", "dialect", "ping"]  # the last two hook into all engines


class Model(DeclarativeBase):
    """The base of all tables; constraint names are fixed so that migrations can name them."""

    metadata = sa.MetaData(
        naming_convention={
            "ix": "ix_%(table_name)s_%(column_0_N_name)s",
            "uq": "uq_%(table_name)s_%(column_0_N_name)s",
            "ck": "ck_%(table_name)s_%(constraint_name)s",
            "fk": "fk_%(table_name)s_%(column_0_name)s_%(referred_table_name)s",
            "pk": "pk_%(table_name)s",
        }
    )


db = SQLAlchemy(model_class=Model, disable_autonaming=True, engine_options={"poolclass": FairPool})
